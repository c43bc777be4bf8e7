package versions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	standardInput   = "standard input"
	environmentFile = ".environment"
	development     = "development" // the environment of the project's own secrets/
	maxInput        = 16 << 20      // bytes of a .env
)

var environmentName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Source is where values come from: it is always named. A directory has one file
// for each secret, and may have a file .environment with the name of its
// environment. Standard input is a .env, read as secrets:fromEnv reads one.
//
// The newline policy of each secret is applied to both, as when a value is put
// into secrets/.
type Source struct {
	From        string    // a directory; "": Stdin
	Stdin       io.Reader // nil: nobody writes there
	Environment string    // "": what the directory says, or that of the versions
	Literal     []string  // keys of the .env to take as they are written
	AsCompose   []string  // keys of the .env to take as Compose reads them
}

// given is what a source holds.
type given struct {
	name        string // DIR, or "standard input"
	next        string // the command that reads the source again, without the target
	environment string // "": it names none
	values      map[string]secrets.Secret
	absent      map[string]string // why there is no value, by name of the secret
	undeclared  []string          // sorted
	notes       []string
}

// read reads the values of the granted secrets, after the newline policy. The
// error has every rule that one of them breaks.
func (v *Versions) read(ctx context.Context, state *project.State, o Source) (given, error) {
	if o.Environment != "" && !environmentName.MatchString(o.Environment) {
		return given{}, &fault.Error{Code: fault.Usage, What: "-environment is not the name of an environment: use up to 32 lower-case letters, digits and -", Next: "-environment=production"}
	}
	reader := sourceReader{state: state, given: given{environment: o.Environment, values: map[string]secrets.Secret{}, absent: map[string]string{}}}
	var err error
	switch {
	case o.From != "":
		err = reader.directory(ctx, v, o.From)
	case o.Stdin != nil:
		err = reader.input(ctx, o)
	default:
		return given{}, &fault.Error{Code: fault.Usage, What: "no source of values is named: secrets/ is for development, and is not taken unasked", Next: "-from=DIR, or a .env by standard input: the same command < FILE"}
	}
	if err != nil {
		return given{}, err
	}
	if len(reader.findings) > 0 {
		return given{}, invalid(fmt.Sprintf("%s has %s; nothing was changed", reader.name, fault.Count(len(reader.findings), "finding")), reader.findings, "fix "+reader.name+", then the same command again")
	}
	return reader.given, nil
}

// sourceReader reads one source.
type sourceReader struct {
	given
	state    *project.State
	findings []fault.Finding
}

// directory reads one file for each secret.
func (r *sourceReader) directory(ctx context.Context, v *Versions, from string) error {
	r.name = strings.TrimSuffix(filepath.ToSlash(from), "/")
	r.next = "-from=" + from
	dir, err := v.OpenDir(from)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	values, err := dir.Snapshot(ctx)
	if err != nil {
		return err
	}
	if !values.Exists {
		return &fault.Error{Code: fault.Invalid, What: r.name + " does not exist", Next: "name the directory that has one file for each secret: -from=DIR"}
	}
	if err := r.directoryEnvironment(v); err != nil {
		return err
	}
	if runtime.GOOS != "windows" && values.Mode&0o077 != 0 {
		r.notes = append(r.notes, fmt.Sprintf("%s can be read by other users of this machine: chmod 700 %s", r.name, r.name))
	}
	for _, name := range values.Names() {
		if _, declared := r.state.Manifest.Secret(name); !declared {
			r.undeclared = append(r.undeclared, name)
		}
	}
	r.undeclared = append(r.undeclared, values.Strays...)
	slices.Sort(r.undeclared)
	for _, need := range declared(r.state) {
		at := fault.Finding{File: r.name + "/" + need.Name, Subject: need.Name, Next: "put the value into " + r.name + "/" + need.Name}
		value, there, err := values.Read(need.Name)
		switch {
		case err != nil:
			at.File, at.Problem = "", fault.Text(err)
			r.findings = append(r.findings, at)
		case !there:
			r.absent[need.Name] = "not in " + r.name
		default:
			r.take(need, value, at)
		}
	}
	return nil
}

// directoryEnvironment reads which environment a directory is of. The project's
// own secrets/ is for development.
func (r *sourceReader) directoryEnvironment(v *Versions) error {
	file := path.Join(r.name, environmentFile)
	data, err := v.Project.Workspace.Read(file)
	own := path.Clean(r.name) == path.Clean(r.state.Values.Dir)
	named := strings.TrimSpace(string(data))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !own:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		named, file = development, r.name
	case err != nil:
		return err
	case !environmentName.MatchString(named):
		r.find(file, "is not one line with the name of an environment: up to 32 lower-case letters, digits and -", "echo production > "+file)
		return nil
	}
	if r.environment != "" && r.environment != named {
		r.find(file, "is of "+named+", and -environment says "+r.environment, "use the directory of "+r.environment+", or leave -environment out")
	}
	r.environment = named
	return nil
}

// input reads a .env.
func (r *sourceReader) input(ctx context.Context, o Source) error {
	r.name, r.next = standardInput, "< FILE"
	data, err := readAll(ctx, o.Stdin)
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return &fault.Error{Code: fault.Invalid, What: "standard input is empty, and no other source of values is named", Next: "-from=DIR, or a .env by standard input: the same command < FILE"}
	}
	entries, problems := envfile.Parse(data, envfile.Options{File: standardInput, Literal: o.Literal, AsCompose: o.AsCompose})
	undeclared := map[string]bool{}
	for _, problem := range problems {
		if _, declared := r.state.Manifest.Secret(problem.Subject); problem.Subject != "" && !declared {
			undeclared[problem.Subject] = true
			continue
		}
		problem.Next = withoutSet(problem.Next)
		r.findings = append(r.findings, problem)
		r.absent[problem.Subject] = "cannot be read"
	}
	byKey := map[string]envfile.Entry{}
	for _, entry := range entries {
		byKey[entry.Key] = entry
		if _, declared := r.state.Manifest.Secret(entry.Key); !declared {
			undeclared[entry.Key] = true
		}
	}
	r.undeclared = slices.Sorted(maps.Keys(undeclared))
	for _, need := range declared(r.state) {
		r.entry(need, byKey)
	}
	slices.SortStableFunc(r.findings, func(a, b fault.Finding) int { return cmp.Compare(a.Line, b.Line) })
	return nil
}

// entry takes the value of one key.
func (r *sourceReader) entry(need need, byKey map[string]envfile.Entry) {
	entry, there := byKey[need.Name]
	at := fault.Finding{File: standardInput, Line: entry.Line, Subject: need.Name, Next: "fix the value there"}
	switch {
	case !there:
		r.absent[need.Name] = cmp.Or(r.absent[need.Name], "not in "+standardInput)
	case entry.Empty && need.Optional:
		r.absent[need.Name] = "empty, and optional"
	case entry.Empty:
		at.Problem, at.Next = "the value is empty", "fill it in, or remove the line"
		r.findings = append(r.findings, at)
	default:
		if entry.Note != "" {
			r.notes = append(r.notes, fmt.Sprintf("%s:%d: %s: %s", standardInput, entry.Line, need.Name, entry.Note))
		}
		r.take(need, entry.Value, at)
	}
}

// take takes a value after the newline policy, or finds the rules that it breaks.
// What no service is granted is not taken.
func (r *sourceReader) take(need need, value secrets.Secret, at fault.Finding) {
	value = need.Normalise(value)
	for _, problem := range need.Check(value) {
		at.Problem = problem.What
		r.findings = append(r.findings, at)
	}
	for _, warning := range need.Warnings(value) {
		r.notes = append(r.notes, need.Name+" "+warning.What)
	}
	if len(need.services) == 0 {
		r.absent[need.Name] = "granted to no service"
		return
	}
	r.values[need.Name] = value
}

func (r *sourceReader) find(file, problem, next string) {
	r.findings = append(r.findings, fault.Finding{File: file, Problem: problem, Next: next})
}

// fromDevelopment warns of values that are also in secrets/. Values are compared
// in memory alone.
func (g given) fromDevelopment(own *project.Snapshot, environment string) []string {
	if environment == development {
		return nil
	}
	names := map[[sha256.Size]byte]string{}
	for _, known := range own.Known() {
		names[sha256.Sum256(known.Value.Reveal())] = known.Name
	}
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(g.values)) {
		if same, found := names[sha256.Sum256(g.values[name].Reveal())]; found {
			warnings = append(warnings, fmt.Sprintf("%s has the value of %s/%s, which is for development", name, own.Dir, same))
		}
	}
	return warnings
}

// readAll reads an input to its end, or until ctx ends.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type answer struct {
		data []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		got <- answer{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, &fault.Error{Code: stopped(ctx), What: "stopped before " + standardInput + " ended; nothing was changed", Next: "-from=DIR, or the same command < FILE", Cause: ctx.Err()}
	case a := <-got:
		if a.err != nil || len(a.data) > maxInput {
			return nil, &fault.Error{Code: fault.Invalid, What: standardInput + " cannot be read, or is larger than 16 MiB", Next: "the same command < FILE"}
		}
		return a.data, nil
	}
}

// stopped is the code of a context that ended.
func stopped(ctx context.Context) fault.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.Incomplete
	}
	return fault.Interrupted
}

// withoutSet replaces the way out of storing a value in secrets/, which is for
// development.
func withoutSet(next string) string {
	if strings.Contains(next, "secrets:set") {
		return "put the value into a file of a directory, and name that: -from=DIR"
	}
	return next
}
