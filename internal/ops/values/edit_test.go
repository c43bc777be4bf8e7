package values_test

import (
	"context"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// typed returns a reader of a value that a person typed.
func typed(value string) func(context.Context) (secrets.Secret, error) {
	return func(context.Context) (secrets.Secret, error) { return secrets.New([]byte(value)), nil }
}

func TestSetAppliesTheNewlinePolicyAndTheRules(t *testing.T) {
	b := opstest.New(t)
	for i, want := range []project.Change{project.Created, project.Unchanged} {
		result, err := use(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue+"\n"), false)
		b.Silent(result, err)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("not exactly one newline was taken away")
	}
	result, err := use(b).Set(t.Context(), "LOGIN", typed("short"), false)
	b.Silent(result, err)
	refused(t, err, fault.Invalid, ":0 LOGIN")
	if _, err := use(b).Set(t.Context(), "NOWHERE", typed(opstest.OtherValue), false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an undeclared name: %v", err)
	}
	if _, err := use(b).Set(t.Context(), "../LOGIN", typed(opstest.OtherValue), false); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a name that is none: %v", err)
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("a refused value was stored")
	}
}

func TestGenerateNeedsARuleAndDoesNotReplaceUnasked(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Generate(t.Context(), "LOGIN", false, false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a rule: %v", err)
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", false, false); err != nil {
		t.Fatal(err)
	}
	first := b.File("secrets/TOKEN")
	if len(first) < 24 {
		t.Error("the value is shorter than its rule's bytes")
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", false, false); fault.CodeOf(err) != fault.Invalid || b.File("secrets/TOKEN") != first {
		t.Errorf("a value that is there: %v", err)
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", true, false); err != nil || b.File("secrets/TOKEN") == first {
		t.Errorf("with force: %v", err)
	}
}

func TestRemoveTwiceIsSafe(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", opstest.LoginValue)
	b.Open()
	for i, want := range []project.Change{project.Removed, project.Unchanged} {
		result, err := use(b).Remove(t.Context(), "LOGIN", false)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != "" {
		t.Error("the file is still there")
	}
}
