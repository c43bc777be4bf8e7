package secretstest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// recorder replaces the test that a helper gets, and records its failures.
type recorder struct {
	testing.TB
	t        *testing.T
	failures []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) TempDir() string           { return r.t.TempDir() }
func (r *recorder) Error(args ...any)         { r.failures = append(r.failures, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.failures = append(r.failures, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatal(args ...any)         { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }

// record runs do with a recorder and returns the failures.
func record(t *testing.T, do func(testing.TB)) []string {
	t.Helper()
	r, done := &recorder{t: t}, make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	return r.failures
}

func known(name, value string) secrets.Known {
	return secrets.Known{Name: name, Value: secrets.New([]byte(value))}
}

func TestSilent(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		values []secrets.Known
		want   string
	}{
		"silent":   {"nothing here", []secrets.Known{known("A", "hunter2")}, ""},
		"shows":    {"one\ntwo hunter2", []secrets.Known{known("B", "other"), known("A", "hunter2")}, "the text shows the value of A, at byte 8, line 2"},
		"none":     {"hunter2", nil, "secretstest.Silent has no values to look for"},
		"empty":    {"hunter2", []secrets.Known{{Name: "A"}}, "secretstest.Silent: the value of A is empty"},
		"two":      {"hunter2 hunter3", []secrets.Known{known("A", "hunter2"), known("B", "hunter3")}, "the text shows the value of A, at byte 0, line 1|the text shows the value of B, at byte 8, line 1"},
		"at start": {"x", []secrets.Known{known("A", "x")}, "the text shows the value of A, at byte 0, line 1"},
	} {
		got := strings.Join(record(t, func(t testing.TB) { secretstest.Silent(t, c.text, c.values...) }), "|")
		if got != c.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestHolds(t *testing.T) {
	s := secrets.New([]byte("hunter2"))
	if got := record(t, func(t testing.TB) { secretstest.Holds(t, s, "hunter2") }); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	got := record(t, func(t testing.TB) { secretstest.Holds(t, s, "hunter3") })
	if len(got) != 1 || strings.Contains(got[0], "hunter") {
		t.Errorf("got %v", got)
	}
}

func TestWriteAndLoader(t *testing.T) {
	type config struct {
		A secrets.Secret `secret:"A"`
		B string         `secret:"B"`
	}
	values := map[string]string{"A": "1", "B": "2"}
	for name, c := range map[string]struct {
		options *secretstest.Options
		want    string
	}{
		"nil": {nil, "2"}, "zero": {&secretstest.Options{}, "2"}, "newline": {&secretstest.Options{Newline: "\r\n"}, "2\r\n"},
		"kubernetes": {&secretstest.Options{Kubernetes: true, Mode: 0o400}, "2"},
	} {
		dir := secretstest.Write(t, values, c.options)
		var got config
		report, err := secretstest.Loader(dir).Load(&got)
		if err != nil || got.B != c.want || report.Loaded[0].Kind != secrets.KindDocker || report.Loaded[0].Place != filepath.Join(dir, "A") {
			t.Errorf("%s: %v, %v", name, report, err)
		}
		info, err := os.Stat(filepath.Join(dir, "A"))
		if want := map[bool]os.FileMode{true: 0o400, false: 0o444}[name == "kubernetes"]; err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: the mode is %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(secretstest.Write(t, nil, nil)); err != nil || len(entries) != 0 {
		t.Errorf("no values: %v, %v", entries, err)
	}
	if got := record(t, func(t testing.TB) { secretstest.Write(t, map[string]string{"../A": "x"}, nil) }); len(got) != 1 {
		t.Errorf("a bad name: %v", got)
	}
}

// TestLoadersReadNothingElse: a test does not see the environment, or production
// mode set in it, by accident.
func TestLoadersReadNothingElse(t *testing.T) {
	t.Setenv("A", "from the environment")
	t.Setenv("KEEPMUM_ENV", "production")
	t.Chdir(secretstest.Write(t, nil, nil))
	if err := errors.Join(os.Mkdir("secrets", 0o700), os.WriteFile("secrets/A", []byte("from ./secrets"), 0o444)); err != nil {
		t.Fatal(err)
	}
	for name, loader := range map[string]secrets.Loader{
		"nil values": secretstest.Values(nil), "empty directory": secretstest.Loader(t.TempDir()),
	} {
		var config struct {
			A string `secret:"A,optional,default=d"`
		}
		for _, environment := range []string{loader.Environment, ""} {
			loader.Environment = environment
			if _, err := loader.Load(&config); err != nil || config.A != "d" {
				t.Errorf("%s: got %q, %v", name, config.A, err)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	all, one := secretstest.Unreadable(), secretstest.Unreadable("A")
	for name, c := range map[string]struct {
		source secrets.Source
		secret string
		want   error
	}{"all": {all, "X", secrets.ErrUnreadable}, "named": {one, "A", secrets.ErrUnreadable}, "other": {one, "B", secrets.ErrAbsent}} {
		if _, err := c.source.Lookup(c.secret); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCanary(t *testing.T) {
	a, b := secretstest.Canary(), secretstest.Canary()
	if a == b || len(a) != 32 || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Error("a canary is not as documented")
	}
}

// TestPackageCommentExample runs the example of the package comment.
func TestPackageCommentExample(t *testing.T) {
	key := secretstest.Canary()
	dir := secretstest.Write(t, map[string]string{"API_KEY": key}, &secretstest.Options{Newline: "\n"})
	var config struct {
		Key secrets.Secret `secret:"API_KEY"`
	}
	loader := secretstest.Loader(dir)
	loader.Strip = true
	report, err := loader.Load(&config)
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, config.Key, key)
	secretstest.Silent(t, fmt.Sprintf("%#v %v", config, report), report.Known()...)
}
