// Package secretstest helps to test programs that load secrets.
//
// [Write] creates a directory of secrets for a test, [Loader] returns a loader
// that reads nothing else, [Unreadable] a source that fails, [Canary] a value
// to search for; [Silent] checks that a text shows no value.
//
//	func TestStart(t *testing.T) {
//		dir := secretstest.Write(t, map[string]string{"API_KEY": "k1"}, nil)
//		var config Config
//		_, err := secretstest.Loader(dir).Load(&config)
//		...
//	}
package secretstest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// Options say how [Write] creates the files. The zero value and nil mean plain
// files of mode 0444 that hold the value and nothing else.
type Options struct {
	Mode       fs.FileMode // 0 means 0444
	Newline    string      // appended to each value, for example "\n"
	Kubernetes bool        // each file is a symlink to ..data/NAME, and ..data is one to a dated directory
}

// Write creates a directory with one file for each of values and returns its
// absolute path. It is removed when the test ends. With nil values the
// directory is empty.
func Write(t testing.TB, values map[string]string, options *Options) string {
	t.Helper()
	if options == nil {
		options = &Options{}
	}
	mode := options.Mode
	if mode == 0 {
		mode = 0o444
	}
	dir := t.TempDir()
	files := dir
	if options.Kubernetes {
		files = filepath.Join(dir, "..2026_11_23")
		must(t, os.Mkdir(files, 0o755))
		must(t, os.Symlink("..2026_11_23", filepath.Join(dir, "..data")))
	}
	for name, value := range values {
		must(t, secrets.ValidName(name))
		path := filepath.Join(files, name)
		must(t, os.WriteFile(path, []byte(value+options.Newline), 0o600))
		must(t, os.Chmod(path, mode))
		if options.Kubernetes {
			must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	return dir
}

// must ends the test on a file system error, which contains only paths.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Loader returns a loader that reads the files of dir as if Docker had mounted
// them, and nothing else: no ./secrets, no environment.
func Loader(dir string) secrets.Loader {
	return secrets.Loader{Source: secrets.Docker(dir), LookupEnv: nothing, Environment: "test"}
}

// Values returns a loader over values and nothing else. Nil is valid: then
// every secret is missing.
func Values(values map[string]string) secrets.Loader {
	return secrets.Loader{Source: secrets.Map(values), LookupEnv: nothing, Environment: "test"}
}

func nothing(string) (string, bool) { return "", false }

// Unreadable returns a source that has the secrets in names but cannot return
// them. Without names it fails for every secret.
func Unreadable(names ...string) secrets.Source { return unreadable(names) }

type unreadable []string

// Lookup implements Source.
func (u unreadable) Lookup(name string) (secrets.Found, error) {
	found := secrets.Found{Kind: secrets.KindFile, Place: "/unreadable/" + name}
	if len(u) > 0 && !slices.Contains(u, name) {
		return found, secrets.ErrAbsent
	}
	return found, fmt.Errorf("%w: the test asked for it", secrets.ErrUnreadable)
}

// Canary returns a new random value of 32 bytes that does not occur by chance
// and needs no quoting or escaping.
func Canary() string {
	random := make([]byte, 13)
	_, _ = rand.Read(random) // never fails
	return "canary" + hex.EncodeToString(random)
}

// Silent fails the test if text contains one of values verbatim. The failure
// names the secret and the position and shows no text. Without values it fails
// too, because it could not find anything.
//
// It does not look for encoded forms; package redact does.
func Silent(t testing.TB, text string, values ...secrets.Known) {
	t.Helper()
	if len(values) == 0 {
		t.Error("secretstest.Silent has no values to look for")
	}
	for _, one := range values {
		if one.Value.IsZero() {
			t.Errorf("secretstest.Silent: the value of %s is empty", one.Name)
			continue
		}
		if at := strings.Index(text, one.Value.RevealString()); at >= 0 {
			line := 1 + strings.Count(text[:at], "\n")
			t.Errorf("the text shows the value of %s, at byte %d, line %d", one.Name, at, line)
		}
	}
}

// Holds fails the test unless secret holds want. The failure shows neither of
// them.
func Holds(t testing.TB, secret secrets.Secret, want string) {
	t.Helper()
	if !secret.Equal(secrets.New([]byte(want))) {
		t.Error("the secret does not hold the value that the test expects")
	}
}
