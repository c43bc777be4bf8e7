package values_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/values"
)

// use makes the use cases of a bench.
func use(b *opstest.Bench) *values.Values {
	return values.New(values.Config{Project: b.Project(), Running: b})
}

// refused requires an error of a class whose findings stand on given lines.
func refused(t *testing.T, err error, class fault.Code, places ...string) {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != class {
		t.Fatalf("error %v, want one of class %d", err, class)
	}
	var got []string
	for _, f := range e.Findings {
		got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Subject))
		if f.Problem == "" || f.Next == "" {
			t.Errorf("finding %v lacks its problem or its next step", f)
		}
	}
	if !slices.Equal(got, places) {
		t.Errorf("findings at %q, want %q\n%v", got, places, err)
	}
}

// over makes the use cases of a bench over a store and a workspace of a test.
func over(b *opstest.Bench, store opstest.Store, files opstest.Files) *values.Values {
	p := b.Project()
	store.SecretStore, files.Workspace = p.Store, p.Workspace
	p.Store, p.Workspace = store, files
	return values.New(values.Config{Project: p, Running: b})
}

// errDisk is how a store or a workspace of a test fails.
var errDisk = &fault.Error{Code: fault.Failed, What: "the disk is full", Next: "df ."}

func TestValues_ReturnTheErrorsOfTheStore(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *values.Values) error{
		"set": func(t *testing.T, v *values.Values) error {
			return only(v.Set(t.Context(), "LOGIN", typed("x"), false))
		},
		"generate": func(t *testing.T, v *values.Values) error {
			return only(v.Generate(t.Context(), "TOKEN", false, false))
		},
		"remove":   func(t *testing.T, v *values.Values) error { return only(v.Remove(t.Context(), "LOGIN", false)) },
		"list":     func(t *testing.T, v *values.Values) error { return only(v.List(t.Context())) },
		"validate": func(t *testing.T, v *values.Values) error { return only(v.Validate(t.Context())) },
		"from .env": func(t *testing.T, v *values.Values) error {
			return only(v.FromEnv(t.Context(), values.FromEnvOptions{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := opstest.New(t)
			err := call(t, over(b, opstest.Store{SnapshotErr: errDisk}, opstest.Files{}))
			if !errors.Is(err, errDisk) {
				t.Errorf("got %v, want the store's error", err)
			}
		})
	}
}

// only drops a result.
func only[T any](_ T, err error) error { return err }
