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
