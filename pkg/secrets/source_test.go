package secrets_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
	"pgregory.net/rapid"
)

// env returns a lookup in a map, never in the environment of the test.
func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// outcome returns the result of a lookup in one line, without the value.
func outcome(found secrets.Found, err error) string {
	switch {
	case err == nil:
		return fmt.Sprintf("%s at %s", found.Kind, found.Place)
	case errors.Is(err, secrets.ErrAbsent):
		return "absent: " + err.Error()
	case errors.Is(err, secrets.ErrInvalid):
		return "invalid: " + err.Error()
	case errors.Is(err, secrets.ErrUnreadable):
		return "unreadable: " + err.Error()
	}
	return "unknown: " + err.Error()
}

func TestEnv(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"F": "from file\n"}, nil)
	file := filepath.Join(dir, "F")
	missing := filepath.Join(dir, "none")
	big := strings.Repeat("x", secrets.MaxSize+1)
	for name, c := range map[string]struct {
		env         map[string]string
		want, value string
	}{
		"unset":           {nil, "absent: not found in $A, $A_FILE", ""},
		"empty":           {map[string]string{"A": ""}, "absent: not found in $A, $A_FILE", ""},
		"both empty":      {map[string]string{"A": "", "A_FILE": ""}, "absent: not found in $A, $A_FILE", ""},
		"set":             {map[string]string{"A": " v\n"}, "env at $A", " v\n"},
		"set, file empty": {map[string]string{"A": "v", "A_FILE": ""}, "env at $A", "v"},
		"file":            {map[string]string{"A_FILE": file}, "env at $A_FILE=" + file, "from file\n"},
		"file, set empty": {map[string]string{"A": "", "A_FILE": file}, "env at $A_FILE=" + file, "from file\n"},
		"both":            {map[string]string{"A": "v", "A_FILE": file}, "unreadable: $A: $A_FILE is set too", ""},
		"both, no file":   {map[string]string{"A": "v", "A_FILE": missing}, "unreadable: $A: $A_FILE is set too", ""},
		"file is missing": {map[string]string{"A_FILE": missing}, "unreadable: $A_FILE: leads to a file that does not exist", ""},
		"file is a value": {map[string]string{"A_FILE": "hunter2"}, "unreadable: $A_FILE: leads to a file that does not exist", ""},
		"file has a nul":  {map[string]string{"A_FILE": "hun\x00ter2"}, "unreadable: $A_FILE: invalid argument", ""},
		"file is a dir":   {map[string]string{"A_FILE": dir}, "unreadable: $A_FILE=" + dir + ": is a directory, not a file", ""},
		"too large":       {map[string]string{"A": big}, "invalid: $A: is larger than 511999 bytes", ""},
		"largest":         {map[string]string{"A": big[1:]}, "env at $A", big[1:]},
		"not utf-8":       {map[string]string{"A": "\xff\x00\xfe"}, "env at $A", "\xff\x00\xfe"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := secrets.Env(env(c.env)).Lookup("A")
			if got := outcome(found, err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			secretstest.Holds(t, found.Value, c.value)
		})
	}
}

// TestEnvFileHint: the hint for a wrong $NAME_FILE does not show its content.
func TestEnvFileHint(t *testing.T) {
	var config struct {
		A string `secret:"A"`
	}
	_, err := secrets.Loader{Source: secrets.Env(env(map[string]string{"A_FILE": "hunter2"}))}.Load(&config)
	if err == nil || !strings.Contains(err.Error(), "\n    $A_FILE must name the file") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestEnvNilReadsTheEnvironment(t *testing.T) {
	t.Setenv("KEEPMUM_TEST_SECRET", "v")
	found, err := secrets.Env(nil).Lookup("KEEPMUM_TEST_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, found.Value, "v")
}

func TestMapAndDefault(t *testing.T) {
	values := map[string]string{"A": "v", "E": "", "B": strings.Repeat("x", secrets.MaxSize+1)}
	for kind, source := range map[string]secrets.Source{"map": secrets.Map(values), "default": secrets.Default(values)} {
		for name, want := range map[string]string{
			"A": kind + " at " + kind,
			"E": "invalid: " + kind + ": is empty",
			"B": "invalid: " + kind + ": is larger than 511999 bytes",
			"C": "absent: not found in " + kind,
		} {
			if got := outcome(source.Lookup(name)); got != want {
				t.Errorf("%s %s: got %q, want %q", kind, name, got, want)
			}
		}
	}
	if got := outcome(secrets.Map(nil).Lookup("A")); got != "absent: not found in map" {
		t.Error(got)
	}
}

func TestChain(t *testing.T) {
	one, two := secrets.Map(map[string]string{"A": "1"}), secrets.Map(map[string]string{"A": "2", "B": "2"})
	fails, absent := secretstest.Unreadable("B"), secrets.Env(env(nil))
	for name, c := range map[string]struct {
		chain        secrets.Source
		secret, want string
	}{
		"nothing":                {secrets.Chain(), "A", "absent: not found in "},
		"nil is skipped":         {secrets.Chain(nil, one, nil), "A", "map at map"},
		"first wins":             {secrets.Chain(one, two), "A", "map at map"},
		"absent continues":       {secrets.Chain(absent, one, two), "B", "map at map"},
		"unreadable stops":       {secrets.Chain(one, fails, two), "B", "unreadable: secret cannot be read: the test asked for it"},
		"unreadable comes later": {secrets.Chain(two, fails), "B", "map at map"},
		"all places":             {secrets.Chain(absent, one, secrets.Chain(absent)), "C", "absent: not found in $C, $C_FILE, map, $C, $C_FILE"},
	} {
		if got := outcome(c.chain.Lookup(c.secret)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	found, err := secrets.Chain(one, two).Lookup("A")
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, found.Value, "1")
}

// TestChainReturnsFirstThatIsNotAbsent: for any sources, a chain returns the
// result of the first one that is not absent.
func TestChainReturnsFirstThatIsNotAbsent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sources []secrets.Source
		want := "absent"
		for i, what := range rapid.SliceOf(rapid.SampledFrom([]string{"absent", "value", "fault"})).Draw(t, "sources") {
			switch what {
			case "absent":
				sources = append(sources, secrets.Map(nil))
			case "value":
				sources = append(sources, secrets.Map(map[string]string{"A": fmt.Sprint("value ", i)}))
			case "fault":
				sources = append(sources, secretstest.Unreadable())
			}
			if want == "absent" && what != "absent" {
				if want = what; what == "value" {
					want = fmt.Sprint("value ", i)
				}
			}
		}
		found, err := secrets.Chain(sources...).Lookup("A")
		got := found.Value.RevealString()
		switch {
		case errors.Is(err, secrets.ErrAbsent):
			got = "absent"
		case err != nil:
			got = "fault"
		}
		if got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestDir(t *testing.T) {
	max := strings.Repeat("x", secrets.MaxSize)
	dir := secretstest.Write(t, map[string]string{
		"PLAIN": "v", "NEWLINE": " v \r\n", "BINARY": "\x00\xff\r", "EMPTY": "", "MAX": max, "BIG": max + "x",
	}, nil)
	outside := secretstest.Write(t, map[string]string{"PLAIN": "outside"}, nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "DIRECTORY"), 0o755))
	must(os.Symlink("PLAIN", filepath.Join(dir, "LINK")))
	must(os.Symlink("LINK", filepath.Join(dir, "LINK_TO_LINK")))
	must(os.Symlink("../"+filepath.Base(dir)+"/PLAIN", filepath.Join(dir, "OUT_AND_IN")))
	must(os.Symlink("nowhere", filepath.Join(dir, "DANGLING")))
	must(os.Symlink("LOOP", filepath.Join(dir, "LOOP")))
	must(os.Symlink(filepath.Join(outside, "PLAIN"), filepath.Join(dir, "ABSOLUTE")))
	must(os.Symlink(filepath.Join(dir, "PLAIN"), filepath.Join(dir, "ABSOLUTE_INSIDE")))
	relative, err := filepath.Rel(dir, filepath.Join(outside, "PLAIN"))
	must(err)
	must(os.Symlink(relative, filepath.Join(dir, "ESCAPE")))
	must(os.Symlink(filepath.Dir(relative), filepath.Join(dir, "OUT")))
	must(os.Symlink("OUT/PLAIN", filepath.Join(dir, "ESCAPE_BY_DIRECTORY")))
	must(os.Symlink("DIRECTORY", filepath.Join(dir, "LINK_TO_DIRECTORY")))
	sparse, err := os.Create(filepath.Join(dir, "SPARSE"))
	must(err)
	must(sparse.Truncate(1 << 36))
	must(sparse.Close())

	out := "unreadable: DIR: is a symlink that leads out of its directory"
	for name, want := range map[string]string{
		"PLAIN": "v", "NEWLINE": " v \r\n", "BINARY": "\x00\xff\r", "MAX": max,
		"LINK": "v", "LINK_TO_LINK": "v",
		"ABSENT":            "absent: not found in DIR",
		"EMPTY":             "invalid: DIR: is empty",
		"BIG":               "invalid: DIR: is larger than 511999 bytes",
		"SPARSE":            "invalid: DIR: is larger than 511999 bytes",
		"DIRECTORY":         "unreadable: DIR: is a directory, not a file",
		"LINK_TO_DIRECTORY": "unreadable: DIR: is a directory, not a file",
		"DANGLING":          "unreadable: DIR: leads to a file that does not exist",
		"LOOP":              "unreadable: DIR: too many levels of symbolic links",
		"ESCAPE":            out, "ESCAPE_BY_DIRECTORY": out, "ABSOLUTE": out, "ABSOLUTE_INSIDE": out, "OUT_AND_IN": out, "OUT": out,
	} {
		t.Run(name, func(t *testing.T) {
			for kind, source := range map[string]secrets.Source{"docker": secrets.Docker(dir), "file": secrets.Dir(dir)} {
				found, err := source.Lookup(name)
				if err == nil {
					secretstest.Holds(t, found.Value, want)
					want := kind + " at " + filepath.Join(dir, name)
					if got := outcome(found, nil); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
					continue
				}
				if got := outcome(found, err); got != strings.Replace(want, "DIR", filepath.Join(dir, name), 1) {
					t.Errorf("got %q, want %q", got, want)
				}
				if !found.Value.IsZero() || found.Place != filepath.Join(dir, name) {
					t.Errorf("along with the error it returns a value, or no place: %v", found)
				}
			}
		})
	}
}

func TestKubernetesLayout(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"A": "v1"}, &secretstest.Options{Kubernetes: true})
	source := secrets.Dir(dir)
	found, err := source.Lookup("A")
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, found.Value, "v1")

	// The kubelet swaps ..data by a rename; the same source sees the new value.
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "..next"), 0o755),
		os.WriteFile(filepath.Join(dir, "..next", "A"), []byte("v2"), 0o444),
		os.Symlink("..next", filepath.Join(dir, "..data_tmp")),
		os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if found, err = source.Lookup("A"); err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, found.Value, "v2")
}

// TestDirThatIsNotADirectory: a file, a symlink or nothing in place of the
// directory.
func TestDirThatIsNotADirectory(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"FILE": "v"}, nil)
	join := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Symlink("nowhere", join("dangling")), os.Symlink(".", join("link")), os.Symlink("loop", join("loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for at, want := range map[string]string{
		"none":      "absent: not found in ",
		"none/none": "absent: not found in ",
		"link":      "file at ", // the directory may be a symlink: it is the root, and was configured
		"FILE":      "unreadable: ",
		"dangling":  "unreadable: ",
		"loop":      "unreadable: ",
	} {
		got := outcome(secrets.Dir(join(at)).Lookup("FILE"))
		if !strings.HasPrefix(got, want+join(at)) {
			t.Errorf("%s: got %q, want %q", at, got, want)
		}
	}
}

// TestDirDefault runs in an empty working directory.
func TestDirDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := outcome(secrets.Dir("").Lookup("A")); got != "absent: not found in ."+string(filepath.Separator)+filepath.Join("secrets", "A") {
		t.Error(got)
	}
	if err := os.Mkdir("secrets", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("secrets/A", []byte("v"), 0o444); err != nil {
		t.Fatal(err)
	}
	for dir, place := range map[string]string{"": "./secrets/A", "secrets": "./secrets/A", "./secrets/": "./secrets/A", "../" + base(t) + "/secrets": "../" + base(t) + "/secrets/A"} {
		if got := outcome(secrets.Dir(dir).Lookup("A")); got != "file at "+filepath.FromSlash(place) {
			t.Errorf("%q: %s", dir, got)
		}
	}
}

// base is the last element of the working directory.
func base(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(dir)
}
