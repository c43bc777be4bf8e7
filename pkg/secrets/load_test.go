package secrets_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// world is what a Loader can see: two directories and an environment.
type world struct {
	docker, dir, env map[string]string
	relative         bool // ./secrets, not configured as an absolute path
	production       bool
}

// at replaces the paths of a world with words.
type at struct{ docker, dir string }

func (a at) short(text string) string {
	return strings.NewReplacer(a.docker, "DOCKER", a.dir, "DIR").Replace(text)
}

// loader creates the world on disk. In a relative world the directory is
// ./secrets in the working directory.
func (w world) loader(t *testing.T) (secrets.Loader, at) {
	t.Helper()
	a := at{docker: secretstest.Write(t, w.docker, nil), dir: secretstest.Write(t, w.dir, nil)}
	l := secrets.Loader{DockerDir: a.docker, Dir: a.dir, LookupEnv: env(w.env)}
	if w.relative {
		project := t.TempDir()
		if err := os.Rename(a.dir, filepath.Join(project, "secrets")); err != nil {
			t.Fatal(err)
		}
		t.Chdir(project)
		l.Dir, a.dir = "", "."+string(filepath.Separator)+"secrets"
	}
	if w.production {
		l.Environment = "production"
	}
	return l, a
}

// TestResolutionOrder is DESIGN section 3 as a table: one secret, the sources
// that have it, and the result. want is the value and its place, or the error.
func TestResolutionOrder(t *testing.T) {
	file := filepath.Join(secretstest.Write(t, map[string]string{"F": "by file"}, nil), "F")
	a := func(value string) map[string]string { return map[string]string{"A": value} }
	byFile := map[string]string{"A_FILE": file}
	missing := "A: not found; looked in DOCKER/A, DIR/A, $A, $A_FILE"
	for name, c := range map[string]struct {
		world
		def  bool
		want string
	}{
		"nothing":                            {world{}, false, missing},
		"docker":                             {world{docker: a("1")}, false, "1 docker DOCKER/A"},
		"dir":                                {world{dir: a("2")}, false, "2 file DIR/A"},
		"env":                                {world{env: a("3")}, false, "3 env $A"},
		"env file":                           {world{env: byFile}, false, "by file env $A_FILE=" + file},
		"default":                            {world{}, true, "def default default"},
		"empty env is absent":                {world{env: a("")}, false, missing},
		"empty env, then default":            {world{env: a("")}, true, "def default default"},
		"docker before dir":                  {world{docker: a("1"), dir: a("2"), env: a("3")}, true, "1 docker DOCKER/A"},
		"dir before env":                     {world{dir: a("2"), env: a("3")}, true, "2 file DIR/A"},
		"env before default":                 {world{env: a("3")}, true, "3 env $A"},
		"empty file does not fall through":   {world{docker: a(""), dir: a("2"), env: a("3")}, true, "A: DOCKER/A: is empty"},
		"empty dir file does not either":     {world{dir: a(""), env: a("3")}, true, "A: DIR/A: is empty; looked in DOCKER/A"},
		"both variables":                     {world{env: map[string]string{"A": "3", "A_FILE": file}}, true, "A: $A: $A_FILE is set too; looked in DOCKER/A, DIR/A"},
		"relative":                           {world{dir: a("2"), relative: true}, false, "2 file DIR/A"},
		"production: nothing":                {world{production: true}, false, missing},
		"production: docker":                 {world{docker: a("1"), production: true}, false, "1 docker DOCKER/A"},
		"production: absolute dir":           {world{dir: a("2"), production: true}, false, "2 file DIR/A"},
		"production: relative dir":           {world{dir: a("2"), relative: true, production: true}, false, "A: DIR/A: is refused in production: the path is relative, so it depends on the working directory; looked in DOCKER/A"},
		"production: relative dir, absent":   {world{env: byFile, relative: true, production: true}, false, "by file env $A_FILE=" + file},
		"production: env":                    {world{env: a("3"), production: true}, false, "A: $A: is refused in production: environment variables show up in docker inspect and crash reports; looked in DOCKER/A, DIR/A"},
		"production: env file":               {world{env: byFile, production: true}, false, "by file env $A_FILE=" + file},
		"production: default":                {world{production: true}, true, "A: default: is refused in production; looked in DOCKER/A, DIR/A, $A, $A_FILE"},
		"production: docker wins over these": {world{docker: a("1"), dir: a("1"), env: a("1"), relative: true, production: true}, true, "1 docker DOCKER/A"},
		"production by the environment":      {world{env: map[string]string{"A": "3", "KEEPMUM_ENV": "production"}}, false, "A: $A: is refused in production: environment variables show up in docker inspect and crash reports; looked in DOCKER/A, DIR/A"},
		"production in another spelling":     {world{env: map[string]string{"A": "3", "KEEPMUM_ENV": " Production\n"}}, false, "A: $A: is refused in production: environment variables show up in docker inspect and crash reports; looked in DOCKER/A, DIR/A"},
		"staging is not production":          {world{env: map[string]string{"A": "3", "KEEPMUM_ENV": "staging"}}, false, "3 env $A"},
	} {
		t.Run(name, func(t *testing.T) {
			loader, at := c.loader(t)
			var got string
			if c.def {
				var config struct {
					A string `secret:"A,optional,default=def"`
				}
				report, err := loader.Load(&config)
				got = summary(config.A, report, err)
			} else {
				var config struct {
					A string `secret:"A"`
				}
				report, err := loader.Load(&config)
				got = summary(config.A, report, err)
			}
			if got = at.short(got); got != filepath.FromSlash(c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// summary returns the value with its provenance, or the problems without hints.
func summary(value string, report secrets.Report, err error) string {
	if err == nil {
		one := report.Loaded[0]
		return fmt.Sprintf("%s %s %s", value, one.Kind, one.Place)
	}
	if value != "" {
		return "the field was set despite the error"
	}
	var all []string
	for _, line := range strings.Split(err.Error(), "\n")[1:] {
		if !strings.HasPrefix(line, "    ") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return strings.Join(all, "\n")
}

// TestOptional: an absent secret leaves the field unchanged, in production
// too; an unreadable one is an error nevertheless.
func TestOptional(t *testing.T) {
	type config struct {
		A secrets.Secret `secret:"A,optional"`
		B string         `secret:"B,optional"`
		C *string        `secret:"C,optional"`
	}
	for _, production := range []bool{false, true} {
		loader, _ := world{production: production}.loader(t)
		got := config{B: "unchanged"}
		report, err := loader.Load(&got)
		if err != nil || got.B != "unchanged" || !got.A.IsZero() || got.C != nil || len(report.Loaded) != 0 {
			t.Errorf("got %+v, %v, %v", got, report, err)
		}
	}
	loader, _ := world{docker: map[string]string{"A": ""}}.loader(t)
	if _, err := loader.Load(&config{}); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// TestLoadErrorListsAllProblems: one error names each secret and each place, and
// the destination is unchanged.
func TestLoadErrorListsAllProblems(t *testing.T) {
	type config struct {
		Good    string         `secret:"GOOD"`
		Missing string         `secret:"MISSING"`
		Empty   secrets.Secret `secret:"EMPTY"`
		JSON    map[string]int `secret:"BAD_JSON,json"`
		PEM     string         `secret:"BAD_PEM,pem"`
		Env     []byte         `secret:"FROM_ENV"`
		Tag     string         `secret:"NO-NAME"`
		Again   []byte         `secret:"MISSING"`
	}
	loader, at := world{
		docker:     map[string]string{"GOOD": "gOOd7", "EMPTY": "", "BAD_JSON": `{"a":"hunter2"}`},
		dir:        map[string]string{"BAD_PEM": "hunter2"},
		env:        map[string]string{"FROM_ENV": "hunter2"},
		production: true,
	}.loader(t)
	var got config
	report, err := loader.Load(&got)
	want := `secrets: 6 problems:
  config.Tag: bad tag: not a valid secret name: use letters, digits and _, and do not start with a digit
  MISSING: not found; looked in DOCKER/MISSING, DIR/MISSING, $MISSING, $MISSING_FILE
    store it with: mage secrets:set MISSING, and grant it to the service in docker-compose.yml
  EMPTY: DOCKER/EMPTY: is empty
    store it again with: mage secrets:set EMPTY
  BAD_JSON: DOCKER/BAD_JSON: the value is valid json that does not fit map[string]int
    store it again with: mage secrets:set BAD_JSON
  BAD_PEM: DIR/BAD_PEM: the value is not pem
    store it again with: mage secrets:set BAD_PEM
  FROM_ENV: $FROM_ENV: is refused in production: environment variables show up in docker inspect and crash reports; looked in DOCKER/FROM_ENV, DIR/FROM_ENV
    grant FROM_ENV to the service, or name its file in $FROM_ENV_FILE`
	if diff := cmp.Diff(filepath.FromSlash(want), at.short(err.Error())); diff != "" {
		t.Error(diff)
	}
	if got.Good != "" {
		t.Error("a field was set although the load failed")
	}
	for _, class := range []error{secrets.ErrMissing, secrets.ErrInvalid, secrets.ErrRefused, secrets.ErrUsage} {
		if !errors.Is(err, class) {
			t.Errorf("the error is not %v", class)
		}
	}
	if errors.Is(err, secrets.ErrUnreadable) || errors.Is(err, secrets.ErrAbsent) {
		t.Error("the error matches a class that no problem has")
	}
	var all *secrets.LoadError
	if !errors.As(err, &all) || len(all.Problems) != 6 || all.Problems[1].Name != "MISSING" || len(all.Problems[1].Places) != 4 {
		t.Errorf("as a LoadError it is %+v", all)
	}
	if len(report.Loaded) != 1 || report.Loaded[0].Name != "GOOD" {
		t.Errorf("loaded is %v", report.Loaded)
	}
	secretstest.Silent(t, fmt.Sprintf("%v %+v %#v %s", report, report, report, err), report.Known()...)
	if names := knownNames(report); names != "GOOD BAD_JSON BAD_PEM FROM_ENV" {
		t.Errorf("known are %s", names)
	}
}

func knownNames(report secrets.Report) string {
	var names []string
	for _, one := range report.Known() {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func TestShadows(t *testing.T) {
	file := filepath.Join(secretstest.Write(t, map[string]string{"F": "Zq-1"}, nil), "F")
	used := func(kind secrets.Kind, place string) secrets.Provenance {
		return secrets.Provenance{Name: "A", Kind: kind, Place: place}
	}
	docker := used(secrets.KindDocker, "DOCKER/A")
	differs, unread := "it holds a different value", "it could not be read, so it was not compared"
	for name, c := range map[string]struct {
		world
		want []secrets.Shadow
	}{
		"alone":      {world{docker: map[string]string{"A": "Zq-1"}}, nil},
		"same value": {world{docker: map[string]string{"A": "Zq-1"}, dir: map[string]string{"A": "Zq-1"}, env: map[string]string{"A": "Zq-1"}}, nil},
		"same file":  {world{docker: map[string]string{"A": "Zq-1"}, env: map[string]string{"A_FILE": file}}, nil},
		"newline differs": {
			world{docker: map[string]string{"A": "Zq-1"}, env: map[string]string{"A": "Zq-1\n"}},
			[]secrets.Shadow{{Name: "A", Used: docker, Hidden: used(secrets.KindEnv, "$A"), Why: differs}},
		},
		"two": {
			world{docker: map[string]string{"A": "Zq-1"}, dir: map[string]string{"A": "Zq-2"}, env: map[string]string{"A": "Zq-3"}},
			[]secrets.Shadow{
				{Name: "A", Used: docker, Hidden: used(secrets.KindFile, "DIR/A"), Why: differs},
				{Name: "A", Used: docker, Hidden: used(secrets.KindEnv, "$A"), Why: differs},
			},
		},
		"unreadable": {
			world{docker: map[string]string{"A": "Zq-1"}, dir: map[string]string{"A": ""}, env: map[string]string{"A": "x", "A_FILE": "y"}},
			[]secrets.Shadow{
				{Name: "A", Used: docker, Hidden: used(secrets.KindFile, "DIR/A"), Why: unread},
				{Name: "A", Used: docker, Hidden: used(secrets.KindEnv, "$A"), Why: unread},
			},
		},
		"in production": {
			world{docker: map[string]string{"A": "Zq-1"}, env: map[string]string{"A": "Zq-0ld"}, production: true},
			[]secrets.Shadow{{Name: "A", Used: docker, Hidden: used(secrets.KindEnv, "$A"), Why: differs}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			loader, at := c.loader(t)
			var log bytes.Buffer
			loader.Logger = slog.New(slog.NewTextHandler(&log, nil))
			var config struct {
				A string `secret:"A,optional,default=other"`
			}
			report, err := loader.Load(&config)
			if err != nil || config.A != "Zq-1" {
				t.Fatalf("got %v", err)
			}
			for i := range report.Shadows {
				report.Shadows[i].Used.Place = at.short(report.Shadows[i].Used.Place)
				report.Shadows[i].Hidden.Place = at.short(report.Shadows[i].Hidden.Place)
			}
			if diff := cmp.Diff(c.want, report.Shadows); diff != "" {
				t.Error(diff)
			}
			if n := strings.Count(log.String(), "secret is shadowed"); n != len(c.want) || n > 0 && !strings.Contains(log.String(), "level=WARN") {
				t.Errorf("the log is %s", log.String())
			}
			secretstest.Silent(t, log.String(), report.Known()...)
		})
	}
}

// TestShadowsOmitDefaultsAndStrippedNewlines: a default is meant to be
// overridden, and a newline that is stripped makes no difference.
func TestShadowsOmitDefaultsAndStrippedNewlines(t *testing.T) {
	var config struct {
		A string `secret:"A"`
	}
	value := func(v string) map[string]string { return map[string]string{"A": v} }
	for name, loader := range map[string]secrets.Loader{
		"default": {Source: secrets.Chain(secrets.Map(value("v")), secrets.Default(value("other")))},
		"newline": {Source: secrets.Chain(secrets.Map(value("v")), secrets.Env(env(value("v\n")))), Strip: true},
	} {
		report, err := loader.Load(&config)
		if err != nil || config.A != "v" || len(report.Shadows) != 0 {
			t.Errorf("%s: %v, %v", name, report.Shadows, err)
		}
	}
}

// TestShadowValuesAreKnown: the values in shadowed sources must be masked too.
func TestShadowValuesAreKnown(t *testing.T) {
	loader, _ := world{docker: map[string]string{"A": "Zq-1"}, dir: map[string]string{"A": "two"}, env: map[string]string{"A": "Zq-1"}}.loader(t)
	var config struct {
		A string `secret:"A"`
		B string `secret:"A"`
	}
	report, err := loader.Load(&config)
	if err != nil {
		t.Fatal(err)
	}
	known := report.Known()
	if len(known) != 2 || len(report.Loaded) != 1 {
		t.Fatalf("known are %v, loaded %v", known, report.Loaded)
	}
	secretstest.Holds(t, known[0].Value, "Zq-1")
	secretstest.Holds(t, known[1].Value, "two")
	known[0] = secrets.Known{}
	if report.Known()[0].Name != "A" {
		t.Error("Known returns its internal slice")
	}
}

func TestStripAndMaxSize(t *testing.T) {
	for value, want := range map[string]string{
		"v": "v", "v\n": "v", "v\r\n": "v", "v\n\n": "v\n", "v\r": "v\r", "v\n\r\n": "v\n", " v \n": " v ", "\xef\xbb\xbfv\n": "\xef\xbb\xbfv", "\r\r\n": "\r",
	} {
		loader := secretstest.Values(map[string]string{"A": value})
		var config struct {
			A secrets.Secret `secret:"A"`
		}
		for strip, want := range map[bool]string{false: value, true: want} {
			loader.Strip = strip
			if _, err := loader.Load(&config); err != nil {
				t.Errorf("%q: %v", value, err)
			}
			secretstest.Holds(t, config.A, want)
		}
	}
	var config struct {
		A string `secret:"A,optional,default=four"`
	}
	for name, c := range map[string]struct {
		loader secrets.Loader
		want   string
	}{
		"nothing is left":          {secrets.Loader{Strip: true, Source: secrets.Map(map[string]string{"A": "\r\n"})}, "A: map: is empty"},
		"just fits":                {secrets.Loader{MaxSize: 4, Source: secrets.Map(map[string]string{"A": "1234"})}, ""},
		"fits when it is stripped": {secrets.Loader{MaxSize: 4, Strip: true, Source: secrets.Map(map[string]string{"A": "1234\n"})}, ""},
		"too large":                {secrets.Loader{MaxSize: 4, Source: secrets.Map(map[string]string{"A": "12345"})}, "A: map: is larger than 4 bytes"},
		"default too":              {secrets.Loader{MaxSize: 3, Source: secrets.Map(nil)}, "A: default: is larger than 3 bytes; looked in map"},
		"negative":                 {secrets.Loader{MaxSize: -1, Source: secrets.Map(nil)}, "Loader.MaxSize: it must be 0 to 511999"},
		"the most":                 {secrets.Loader{MaxSize: 511_999, Source: secrets.Map(map[string]string{"A": "1234"})}, ""},
		"more than can be":         {secrets.Loader{MaxSize: 512_000, Source: secrets.Map(nil)}, "Loader.MaxSize: it must be 0 to 511999"},
	} {
		config.A = ""
		_, err := c.loader.Load(&config)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if got := summary(config.A, secrets.Report{}, err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// foreignSource is a source of another package, with other kinds and places,
// which wraps its errors.
type foreignSource struct{ found secrets.Found }

func (f foreignSource) Lookup(name string) (secrets.Found, error) {
	switch name {
	case "ABSENT":
		return secrets.Found{Kind: "vault"}, fmt.Errorf("vault: %w", secrets.ErrAbsent)
	case "FAULT":
		return secrets.Found{Kind: "vault"}, errors.New("vault: sealed")
	}
	return f.found, nil
}

func TestForeignSource(t *testing.T) {
	var config struct {
		Absent string `secret:"ABSENT"`
		Fault  string `secret:"FAULT"`
		Zero   string `secret:"ZERO"`
	}
	_, err := secrets.Loader{Source: foreignSource{secrets.Found{Kind: "vault", Place: "vault:kv"}}}.Load(&config)
	want := "ABSENT: not found; looked in vault\nFAULT: vault: sealed\nZERO: vault:kv: is empty"
	if got := summary("", secrets.Report{}, err); got != want {
		t.Errorf("got %q", got)
	}
	value := secrets.New([]byte("v"))
	for found, refused := range map[*secrets.Found]bool{
		{Value: value, Kind: "vault", Place: "vault:kv"}:            false,
		{Value: value, Kind: secrets.KindMap, Place: "map"}:         false,
		{Value: value, Kind: secrets.KindEnv, Place: "$OTHER"}:      true,
		{Value: value, Kind: secrets.KindDefault, Place: "default"}: true,
		{Value: value, Kind: secrets.KindFile, Place: "x/y"}:        true,
		{Value: value, Kind: secrets.KindDocker, Place: "x/y"}:      true,
	} {
		var config struct {
			A string `secret:"A"`
		}
		_, err := secrets.Loader{Source: foreignSource{*found}, Environment: "production"}.Load(&config)
		if errors.Is(err, secrets.ErrRefused) != refused {
			t.Errorf("%s at %s: %v", found.Kind, found.Place, err)
		}
	}
}

// TestLoadIsTheZeroLoader calls Load with the real environment and working
// directory.
func TestLoadIsTheZeroLoader(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("KEEPMUM_ENV", "")
	t.Setenv("KEEPMUM_TEST_A", "v")
	t.Setenv("KEEPMUM_TEST_A_FILE", "")
	var config struct {
		A secrets.Secret `secret:"KEEPMUM_TEST_A"`
	}
	report, err := secrets.Load(&config)
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, config.A, "v")
	if report.Loaded[0].Place != "$KEEPMUM_TEST_A" {
		t.Errorf("got %v", report)
	}
	t.Setenv("KEEPMUM_ENV", "production")
	if _, err := secrets.Load(&config); !errors.Is(err, secrets.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// counting counts the lookups of each name.
type counting map[string]int

func (c counting) Lookup(name string) (secrets.Found, error) {
	c[name]++
	return secrets.Map(map[string]string{name: "v"}).Lookup(name)
}

func TestLoadLooksUpEachNameOnce(t *testing.T) {
	var config struct {
		A, B string `secret:"A"`
		C    []byte `secret:"A"`
	}
	count := counting{}
	if _, err := (secrets.Loader{Source: count}).Load(&config); err != nil || count["A"] != 1 || config.B != "v" {
		t.Errorf("%v, %v", err, count)
	}
}

// TestLoadErrorListsEachProblemOfOneSecret: two fields of one secret may have
// different problems; the same problem is listed once.
func TestLoadErrorListsEachProblemOfOneSecret(t *testing.T) {
	var config struct {
		A map[string]int `secret:"A,json"`
		B string         `secret:"A,pem"`
		C []int          `secret:"A,json"`
	}
	_, err := secretstest.Values(map[string]string{"A": "hunter2"}).Load(&config)
	want := "A: map: the value is not valid json\nA: map: the value is not pem"
	if got := summary("", secrets.Report{}, err); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
