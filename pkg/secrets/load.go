package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Loader loads values into a struct. [Load] uses the zero Loader.
type Loader struct {
	// DockerDir is where Docker mounts secrets. Empty means /run/secrets (on
	// Windows, C:\ProgramData\Docker\secrets).
	DockerDir string

	// Dir is the project's directory of values. Empty means ./secrets. In
	// production mode a value from a relative path is refused.
	Dir string

	// LookupEnv looks up environment variables. Nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)

	// Environment is "production" for production mode. Empty means
	// $KEEPMUM_ENV. Case and surrounding white space are ignored.
	Environment string

	// MaxSize is the largest size of a value in bytes. Zero means the constant
	// MaxSize, which is also the upper limit.
	MaxSize int

	// Strip removes exactly one newline, \n or \r\n, from the end of each
	// value. The zero Loader removes nothing: newlines are dealt with when a
	// value is stored.
	Strip bool

	// Source replaces DockerDir, Dir and LookupEnv as the place where values
	// are looked up. Nil means docker, file, env, in this order. In both cases
	// the defaults of tags come last, and production mode applies.
	Source Source

	// Logger gets a warning for each shadowed secret, by name. Nil means no
	// warnings; the Report lists the shadows in any case.
	Logger *slog.Logger
}

// Provenance says where the value of a secret came from.
type Provenance struct {
	Name  string `json:"name"`
	Kind  Kind   `json:"source"`
	Place string `json:"place"`
}

// Shadow says that a second source has the secret too, with a different value
// or one that could not be read and compared. The value from Hidden was not
// used.
type Shadow struct {
	Name   string     `json:"name"`
	Used   Provenance `json:"used"`
	Hidden Provenance `json:"hidden"`
	Why    string     `json:"why"`
}

// Known is a value and the name that replaces it in masked output. Package
// redact takes a list of them.
type Known struct {
	Name  string
	Value Secret
}

// Report says what was loaded and from where. It is safe to print and encode.
type Report struct {
	Loaded  []Provenance `json:"loaded"`  // in the order of the fields, each name once
	Shadows []Shadow     `json:"shadows"` // other sources with another value
	known   []Known
}

// Known returns every value that was found, for masking: the loaded values,
// each Secret inside a JSON value, the values in shadowed sources, and values
// that were found but rejected.
func (r Report) Known() []Known { return slices.Clone(r.known) }

// Load loads values into the struct that dst points to, in the standard order
// and with no options. See [Loader.Load].
func Load(dst any) (Report, error) { return Loader{}.Load(dst) }

// Load looks up each secret that a tag in the struct at dst names and sets the
// fields. The package comment describes the tags.
//
// The error, if any, is a *[LoadError] with every problem of every secret, and
// then dst is unchanged. The Report is valid in both cases. A field whose
// secret is optional and absent is left unchanged.
func (l Loader) Load(dst any) (Report, error) {
	set := collect(dst)
	run := &run{Loader: l, held: map[string]*result{}, problems: set.problems}
	run.prepare()
	defer run.close()

	assign := set.allocs
	for _, f := range set.fields {
		if put := run.field(f); put != nil {
			assign = append(assign, put)
		}
	}
	if len(run.problems) > 0 {
		return run.report, &LoadError{Problems: run.problems}
	}
	for _, do := range assign {
		do()
	}
	return run.report, nil
}

// run is one call of Load.
type run struct {
	Loader
	production bool
	sources    []Source
	open       []*heldDir
	held       map[string]*result
	report     Report
	problems   []Problem
}

// result is what the sources had for one name.
type result struct {
	found    Found
	err      error
	places   []string // where it was not found
	reported bool
}

// prepare fills in the defaults of the Loader's fields.
func (r *run) prepare() {
	if r.LookupEnv == nil {
		r.LookupEnv = os.LookupEnv
	}
	if r.Environment == "" {
		r.Environment, _ = r.LookupEnv("KEEPMUM_ENV")
	}
	r.production = strings.EqualFold(strings.TrimSpace(r.Environment), "production")
	if r.MaxSize < 0 || r.MaxSize > MaxSize {
		r.problems = append(r.problems, Problem{
			Name: "Loader.MaxSize", Reason: fmt.Sprintf("it must be 0 to %d", MaxSize), Err: ErrUsage,
		})
	}
	if r.MaxSize <= 0 || r.MaxSize > MaxSize {
		r.MaxSize = MaxSize
	}
	source := r.Source
	if source == nil {
		source = Chain(Docker(r.DockerDir), Dir(r.Dir), Env(r.LookupEnv))
	}
	for _, one := range Chain(source).(chain) {
		if dir, ok := one.(*dirSource); ok {
			held := &heldDir{dirSource: *dir}
			r.open = append(r.open, held)
			one = held
		}
		r.sources = append(r.sources, one)
	}
}

func (r *run) close() {
	for _, one := range r.open {
		one.close()
	}
}

// field looks up the secret of one field. It returns a function that sets the
// field, or nil if there is nothing to set.
func (r *run) field(f field) func() {
	got := r.lookup(f.name)
	if got.err != nil {
		r.fail(problemOf(f.name, got.err, got.places))
		return nil
	}
	found := got.found
	if found.Value.IsZero() {
		if f.optional && !f.hasDefault {
			return nil
		}
		if !f.optional {
			r.fail(missing(f.name, got.places))
			return nil
		}
		var err error
		if found, err = r.fallback(f); err != nil {
			r.fail(problemOf(f.name, err, got.places))
			return nil
		}
	}
	made, err := f.decode(found.Value)
	if err != nil {
		r.fail(problemOf(f.name, &fault{class: ErrInvalid, place: found.Place, reason: err.Error()}, nil))
		return nil
	}
	if !got.reported {
		got.reported = true
		r.report.Loaded = append(r.report.Loaded, provenance(f.name, found))
	}
	if f.form == formJSON {
		for _, inner := range secretsIn(made) {
			r.know(f.name, inner)
		}
	}
	return func() { f.value.Set(made) }
}

// fail records a problem, once even if two fields name the same secret.
func (r *run) fail(p Problem) {
	if !slices.ContainsFunc(r.problems, func(one Problem) bool { return one.Name == p.Name && one.Reason == p.Reason }) {
		r.problems = append(r.problems, p)
	}
}

// fallback returns the default of a tag.
func (r *run) fallback(f field) (Found, error) {
	found := Found{Value: New([]byte(f.fallback)), Kind: KindDefault, Place: "default"}
	if err := r.refusal(f.name, found); err != nil {
		return found, err
	}
	if err := checkSize(found.Place, len(f.fallback), r.MaxSize); err != nil {
		return found, err
	}
	r.know(f.name, found.Value)
	return found, nil
}

// lookup asks the sources for name, once per run. The first that has it wins;
// the sources after it are compared with it.
func (r *run) lookup(name string) *result {
	if got := r.held[name]; got != nil {
		return got
	}
	got := &result{}
	r.held[name] = got
	for i, source := range r.sources {
		found, err := source.Lookup(name)
		if errors.Is(err, ErrAbsent) {
			got.places = append(got.places, placesOf(found, err)...)
			continue
		}
		r.know(name, found.Value)
		if err == nil {
			found, err = r.admit(name, found)
		}
		got.found, got.err = found, err
		if err == nil {
			r.shadows(name, found, r.sources[i+1:])
		}
		return got
	}
	return got
}

// admit applies the Loader's rules to the result of a source.
func (r *run) admit(name string, found Found) (Found, error) {
	if err := r.refusal(name, found); err != nil {
		return found, err
	}
	found = r.strip(name, found)
	return found, checkSize(found.Place, len(found.Value.Reveal()), r.MaxSize)
}

// strip removes one newline from the end if Loader.Strip is set.
func (r *run) strip(name string, found Found) Found {
	value := found.Value.Reveal()
	if !r.Strip || !bytes.HasSuffix(value, []byte("\n")) {
		return found
	}
	value = bytes.TrimSuffix(value[:len(value)-1], []byte("\r"))
	found.Value = own(value)
	r.know(name, found.Value)
	return found
}

// refusal returns the error of production mode, or nil if the source is
// allowed.
func (r *run) refusal(name string, found Found) error {
	if !r.production {
		return nil
	}
	f := &fault{class: ErrRefused, place: found.Place}
	switch {
	case found.Kind == KindEnv && !found.byFile:
		f.reason = "is refused in production: environment variables show up in docker inspect and crash reports"
		f.hint = "grant " + name + " to the service, or name its file in $" + name + "_FILE"
	case found.Kind == KindDefault:
		f.reason = "is refused in production"
		f.hint = "grant " + name + " to the service, or name its file in $" + name + "_FILE"
	case (found.Kind == KindFile || found.Kind == KindDocker) && !filepath.IsAbs(found.Place):
		f.reason = "is refused in production: the path is relative, so it depends on the working directory"
		f.hint = "configure the directory as an absolute path"
	default:
		return nil
	}
	return f
}

// shadows compares the value in use with the values of the sources after it. A
// default is meant to be overridden, so it is not reported.
func (r *run) shadows(name string, used Found, rest []Source) {
	for _, source := range rest {
		hidden, err := source.Lookup(name)
		if errors.Is(err, ErrAbsent) || hidden.Kind == KindDefault {
			continue
		}
		r.know(name, hidden.Value)
		why := "it holds a different value"
		switch {
		case err != nil:
			why = "it could not be read, so it was not compared"
		case r.strip(name, hidden).Value.Equal(used.Value):
			continue
		}
		shadow := Shadow{Name: name, Used: provenance(name, used), Hidden: provenance(name, hidden), Why: why}
		r.report.Shadows = append(r.report.Shadows, shadow)
		if r.Logger != nil {
			r.Logger.Warn("secret is shadowed", "name", name, "used", used.Place, "hidden", hidden.Place, "why", why)
		}
	}
}

// know records a value for masking, once.
func (r *run) know(name string, value Secret) {
	same := func(one Known) bool { return one.Name == name && one.Value.Equal(value) }
	if !value.IsZero() && !slices.ContainsFunc(r.report.known, same) {
		r.report.known = append(r.report.known, Known{name, value})
	}
}

func provenance(name string, found Found) Provenance {
	return Provenance{Name: name, Kind: found.Kind, Place: found.Place}
}

// missing is the problem of a secret that no source has.
func missing(name string, places []string) Problem {
	return Problem{
		Name: name, Reason: "not found", Places: places, Err: ErrMissing,
		Hint: "store it with: mage secrets:set " + name + ", and grant it to the service in docker-compose.yml",
	}
}
