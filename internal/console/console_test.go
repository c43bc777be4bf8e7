package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const value = "console-value-31ab"

// piped is a console over buffers.
func piped(in string) (c *Console, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return New(strings.NewReader(in), out, errOut), out, errOut
}

func masked(c *Console) {
	c.Mask([]secrets.Known{{Name: "LOGIN", Value: secrets.New([]byte(value))}})
}

func TestEveryWayOutIsMasked(t *testing.T) {
	c, out, errOut := piped("")
	show := func() string {
		out.Reset()
		errOut.Reset()
		c.Say("said %s", value)
		_ = c.Print("printed %s", value)
		_ = c.Table([]string{"A"}, [][]string{{value}})
		_ = c.JSON(map[string]string{"a": value})
		err := c.Exit(&fault.Error{What: "what " + value, Next: "next " + value, Findings: []fault.Finding{{Problem: value}}})
		return out.String() + errOut.String() + err.Error()
	}
	if n := strings.Count(show(), value); n != 7 {
		t.Fatalf("without a masker the value is shown %d times, want 7: the test cannot fail", n)
	}
	masked(c)
	said := show()
	if strings.Contains(said, value) {
		t.Error("a value is shown")
	}
	if n := strings.Count(said, "‹LOGIN›"); n != 7 {
		t.Errorf("%d masks, want 7:\n%s", n, said)
	}
}

func TestADocumentHasItsLists(t *testing.T) {
	type inner struct {
		Names []string `json:"names"`
		Maybe []string `json:"maybe,omitempty"`
	}
	type document struct {
		At     time.Time `json:"at"`
		Rows   []inner   `json:"rows"`
		Inner  inner     `json:"inner"`
		Far    *inner    `json:"far,omitempty"`
		hidden []string
	}
	for name, test := range map[string]struct {
		document document
		want     string
	}{
		"nothing": {document{}, `{"at":"0001-01-01T00:00:00Z","rows":[],"inner":{"names":[]}}`},
		"nested":  {document{Rows: []inner{{}}, Far: &inner{Names: []string{"a"}}, hidden: []string{"b"}}, `{"at":"0001-01-01T00:00:00Z","rows":[{"names":[]}],"inner":{"names":[]},"far":{"names":["a"]}}`},
	} {
		c, out, _ := piped("")
		if err := c.JSON(test.document); err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, out.Bytes()); err != nil || compact.String() != test.want {
			t.Errorf("%s: %s (%v), want %s", name, compact.String(), err, test.want)
		}
	}
	c, out, _ := piped("")
	if err := c.JSON(nil); err != nil || out.String() != "null\n" {
		t.Errorf("nothing at all: %q, %v", out.String(), err)
	}
}

// nothing is streams that have and keep nothing.
func nothing() Streams {
	return Streams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}
}

func TestRunUsesTheStreamsOfTheContext(t *testing.T) {
	var out, errOut bytes.Buffer
	ctx := WithStreams(t.Context(), Streams{In: strings.NewReader("typed"), Out: &out, ErrOut: &errOut})
	err := Run(ctx, 0, func(_ context.Context, c *Console) error {
		typed, err := io.ReadAll(c.In)
		if err != nil {
			return err
		}
		c.Say("said %s", typed)
		return c.Print("data")
	})
	if err != nil || out.String() != "data\n" || errOut.String() != "said typed\n" {
		t.Errorf("%v, out %q, err %q", err, out.String(), errOut.String())
	}
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		fn   func(context.Context, *Console) error
		code int
		text string
	}{
		"none":  {func(context.Context, *Console) error { return nil }, 0, ""},
		"plain": {func(context.Context, *Console) error { return errors.New("broken") }, 1, "broken"},
		"class": {func(context.Context, *Console) error { return &fault.Error{Code: fault.Invalid, What: "bad"} }, 3, "bad"},
		"joined": {func(context.Context, *Console) error {
			return errors.Join(errors.New("x"), &fault.Error{Code: fault.Leak, What: "leak"})
		}, 8, "leak"},
		"deadline": {func(ctx context.Context, _ *Console) error { <-ctx.Done(); return ctx.Err() }, 6, "not done after"},
		"a panic":  {func(context.Context, *Console) error { panic(value) }, 1, "details are hidden because they may contain a secret"},
		"finding": {func(context.Context, *Console) error {
			return &fault.Error{Code: fault.Invalid, What: "1 finding", Findings: []fault.Finding{{File: "f", Line: 2, Problem: "p", Next: "n"}}}
		}, 3, "f:2: p\n    next: n"},
		"next": {func(context.Context, *Console) error {
			return &fault.Error{Code: fault.NoEngine, What: "w", Next: "do it"}
		}, 4, "w\nnext: do it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := RunWith(t.Context(), nothing(), 50*time.Millisecond, test.fn)
			if code := mg.ExitStatus(err); code != test.code {
				t.Errorf("code %d, want %d", code, test.code)
			}
			if err != nil && (!strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), value)) {
				t.Errorf("text %q, want a part %q and no value", err, test.text)
			}
		})
	}
}

func TestASignalEndsTheContextAndGives130(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		err := RunWith(t.Context(), nothing(), time.Minute, func(ctx context.Context, _ *Console) error {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Signal(sig); err != nil {
				return err
			}
			<-ctx.Done()
			return &fault.Error{Code: fault.Failed, What: "2 of 3 are up", Next: "mage stack:up"}
		})
		if mg.ExitStatus(err) != 130 || !strings.Contains(err.Error(), "2 of 3 are up") || !strings.Contains(err.Error(), "next: mage stack:up") {
			t.Errorf("%v: code %d, text %q", sig, mg.ExitStatus(err), err)
		}
	}
}

func TestInterrupted_KeepsWhatIsKnown(t *testing.T) {
	for want, err := range map[string]error{
		"interrupted\nnext: run the same command again": fmt.Errorf("asking: %w", context.Canceled),
		"interrupted: 2 of 3 are up\nnext: mage x":      &fault.Error{Code: fault.Failed, What: "2 of 3 are up", Next: "mage x", Cause: context.Canceled},
		"stopped\n  f: p\nnext: run the same command again": &fault.Error{
			Code: fault.Interrupted, What: "stopped", Findings: []fault.Finding{{File: "f", Problem: "p"}},
		},
		"stopped\nnext: mage x": &fault.Error{Code: fault.Interrupted, What: "stopped", Next: "mage x"},
	} {
		if got := interrupted(err); Describe(got) != want || fault.CodeOf(got) != fault.Interrupted {
			t.Errorf("%v becomes %q with code %d, want %q with code 130", err, Describe(got), fault.CodeOf(got), want)
		}
	}
}

func TestReadValueTakesStandardInputWhole(t *testing.T) {
	c, _, errOut := piped("line one\nline two\n")
	got, err := c.ReadValue(t.Context(), "LOGIN", 100)
	if err != nil || got.RevealString() != "line one\nline two\n" {
		t.Errorf("not what was piped in: %v", err)
	}
	if errOut.Len() > 0 {
		t.Errorf("said %q though no one types", errOut)
	}
	c, _, _ = piped(strings.Repeat("x", 200))
	if got, err := c.ReadValue(t.Context(), "LOGIN", 100); err != nil || len(got.Reveal()) != 101 {
		t.Errorf("more than one byte beyond the limit was read: %v", err)
	}
}

func TestReadValueStopsWithItsContext(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(read, &bytes.Buffer{}, &bytes.Buffer{}).ReadValue(ctx, "LOGIN", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestTableAlignsAndTrims(t *testing.T) {
	c, out, _ := piped("")
	if err := c.Table([]string{"NAME", "STATE"}, [][]string{{"LONG_NAME", "ok"}, {"B", ""}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME       STATE\nLONG_NAME  ok\nB          -\n"; out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestPiped_IsNotATerminal(t *testing.T) {
	in := strings.NewReader("x")
	if c := New(in, nil, nil); c.Piped() != in {
		t.Error("an input that is no file is not taken")
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if c := New(file, nil, nil); c.Piped() != file {
		t.Error("a file is not taken")
	}
}
