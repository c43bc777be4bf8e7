package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
)

func TestCodeOf_TakesTheFirstOfDesignsOrder(t *testing.T) {
	code := func(c fault.Code) error { return &fault.Error{Code: c, What: "x"} }
	plain := errors.New("plain")
	tests := []struct {
		err  error
		want fault.Code
	}{
		{nil, 0},
		{plain, fault.Failed},
		{code(fault.Invalid), fault.Invalid},
		{fmt.Errorf("around: %w", code(fault.NoEngine)), fault.NoEngine},
		{errors.Join(code(fault.Failed), code(fault.Pending)), fault.Pending},
		{errors.Join(code(fault.Pending), code(fault.Invalid)), fault.Invalid},
		{errors.Join(code(fault.Invalid), code(fault.NoEngine)), fault.NoEngine},
		{errors.Join(code(fault.NoEngine), code(fault.Incomplete)), fault.Incomplete},
		{errors.Join(code(fault.Incomplete), code(fault.RolledBack)), fault.RolledBack},
		{errors.Join(code(fault.RolledBack), code(fault.Leak)), fault.Leak},
		{errors.Join(code(fault.Leak), code(fault.Interrupted), plain), fault.Interrupted},
	}
	for _, test := range tests {
		if got := fault.CodeOf(test.err); got != test.want {
			t.Errorf("%v: code %d, want %d", test.err, got, test.want)
		}
	}
}

func TestFinding_NamesItsPlaceOnce(t *testing.T) {
	tests := map[string]fault.Finding{
		"a.yml:3: KEY: is bad":         {File: "a.yml", Line: 3, Subject: "KEY", Problem: "is bad"},
		"secrets/KEY: is bad":          {File: "secrets/KEY", Subject: "KEY", Problem: "is bad"},
		"KEY: is bad":                  {Subject: "KEY", Problem: "is bad"},
		"a.yml: is bad":                {File: "a.yml", Problem: "is bad"},
		"secrets/MYKEY:2: KEY: is bad": {File: "secrets/MYKEY", Line: 2, Subject: "KEY", Problem: "is bad"},
	}
	for want, f := range tests {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestError_ListsItsFindingsAndUnwraps(t *testing.T) {
	cause := errors.New("cause")
	err := error(&fault.Error{Code: fault.Invalid, What: "a.yml has 2 findings", Next: "fix it", Findings: []fault.Finding{{File: "a.yml", Line: 3, Problem: "one"}, {Subject: "B", Problem: "two", Next: "hint"}}, Cause: cause})
	if want := "a.yml has 2 findings\n  a.yml:3: one\n  B: two"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is not found")
	}
}

func TestText_IsOneLineWithoutFindings(t *testing.T) {
	bad := &fault.Error{What: "a.yml has 1 finding", Findings: []fault.Finding{{Problem: "one"}}}
	for want, err := range map[string]error{"a.yml has 1 finding": fmt.Errorf("around: %w", bad), "plain": errors.New("plain")} {
		if got := fault.Text(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCount_UsesTheSingularForOneOnly(t *testing.T) {
	for n, want := range map[int]string{0: "0 findings", 1: "1 finding", 2: "2 findings"} {
		if got := fault.Count(n, "finding"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPrintable_KeepsTextAndReplacesControls(t *testing.T) {
	if got := fault.Printable("web\x1b[2J\n\x7fÄ~ "); got != "web?[2J??Ä~ " {
		t.Errorf("%q", got)
	}
}
