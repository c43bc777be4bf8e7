package sweep

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/ops"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const value = `p@ss/w0rd+"1`

func newSweep(t *testing.T, pairs ...string) *Sweep {
	t.Helper()
	known := []secrets.Known{{Name: "KEY", Value: secrets.New([]byte(value))}}
	for i := 0; i+1 < len(pairs); i += 2 {
		known = append(known, secrets.Known{Name: pairs[i], Value: secrets.New([]byte(pairs[i+1]))})
	}
	s, err := New(known)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read is a sweep of one surface that must be read.
func read(t *testing.T, s *Sweep, surface Surface) Result {
	t.Helper()
	result, err := s.Read(t.Context(), surface)
	if err != nil {
		t.Fatalf("%s: %v", surface.Name, err)
	}
	if result.Canaries == 0 {
		t.Fatalf("%s: read without a canary", surface.Name)
	}
	return result
}

// unread is a sweep of one surface that must count as unread.
func unread(t *testing.T, s *Sweep, surface Surface, why string) {
	t.Helper()
	_, err := s.Read(t.Context(), surface)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: the error is %v, should say %q", surface.Name, err, why)
	}
	var e *ops.Error
	if err := s.Run(t.Context(), surface).Err(); !errors.As(err, &e) || e.Class != ops.Incomplete {
		t.Errorf("%s: the report's error is %v, should be of class Incomplete", surface.Name, err)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	clean := read(t, s, Bytes("rendered compose", []byte("nothing\nhere\n")))
	if len(clean.Hits) != 0 || clean.Bytes != 13 || clean.Parts != 1 || clean.Canaries != 1 {
		t.Errorf("a clean text gives %+v", clean)
	}
	found := read(t, s, Bytes("rendered compose", []byte("one\ntwo "+value+"\n")))
	want := []Hit{{Name: "KEY", Encoding: "raw", Surface: "rendered compose", Line: 2, Offset: 8}}
	if !slices.Equal(found.Hits, want) {
		t.Errorf("hits %+v, should be %+v", found.Hits, want)
	}
	if empty := read(t, s, Bytes("our own output", nil)); empty.Bytes != 0 || empty.Canaries != 1 {
		t.Errorf("an empty text gives %+v", empty)
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	inJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for encoding, text := range map[string]string{
		"raw":     value,
		"base64":  base64.StdEncoding.EncodeToString([]byte("x" + value + "\n")),
		"hex":     fmt.Sprintf("%X", value),
		"percent": url.QueryEscape(value),
		"json":    string(inJSON),
		"go":      fmt.Sprint([]byte(value)),
	} {
		found := read(t, s, Bytes("b", []byte(text)))
		if len(found.Hits) != 1 || found.Hits[0].Encoding != encoding {
			t.Errorf("%s: %+v", encoding, found.Hits)
		}
	}
}

// TestNewProvesTheSearch: a search that finds nothing is refused, and so is
// one that knows another value only.
func TestNewProvesTheSearch(t *testing.T) {
	t.Parallel()
	for name, search := range map[string]func([]secrets.Known) *redact.Matcher{
		"finds nothing": func([]secrets.Known) *redact.Matcher { return nil },
		"finds another": func([]secrets.Known) *redact.Matcher {
			return redact.New([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte("something else"))}})
		},
	} {
		if _, err := newWith(nil, search); err == nil || !strings.Contains(err.Error(), "the search is broken") {
			t.Errorf("a search that %s gives %v", name, err)
		}
	}
}

func TestCanaryName(t *testing.T) {
	t.Parallel()
	_, err := New([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte(value))}})
	if ops.ClassOf(err) != ops.Invalid {
		t.Errorf("a secret with the canary's name gives %v", err)
	}
	a, b := newSweep(t), newSweep(t)
	if a.Canary() == b.Canary() || len(a.Canary()) < 20 {
		t.Error("the canary is not random")
	}
}

func TestUnsearched(t *testing.T) {
	t.Parallel()
	s := newSweep(t, "TINY", "abc")
	if report := s.Run(t.Context(), Bytes("b", []byte("abc"))); !slices.Equal(report.Unsearched, []string{"TINY"}) {
		t.Errorf("unsearched: %v", report.Unsearched)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	closed := false
	surface := Stream("history of git", func(context.Context) (io.ReadCloser, error) {
		return closer{strings.NewReader("key: " + value), &closed}, nil
	})
	if found := read(t, s, surface); len(found.Hits) != 1 || found.Bytes != int64(5+len(value)) {
		t.Errorf("%+v", found)
	}
	if !closed {
		t.Error("the stream was not closed")
	}
	unread(t, s, Stream("no such", func(context.Context) (io.ReadCloser, error) { return nil, os.ErrNotExist }), "not exist")
	half := io.MultiReader(strings.NewReader(value), failing{})
	unread(t, s, Stream("broken", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(half), nil }), "pulled the plug")
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("pulled the plug") }

// TestHitsOfAnUnreadSurfaceCount: what was found before a reading failed is a
// leak, and the class says so.
func TestHitsOfAnUnreadSurfaceCount(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	half := io.MultiReader(strings.NewReader(value+"\n"+strings.Repeat("x", 100_000)), failing{})
	report := s.Run(t.Context(), Stream("broken", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(half), nil }))
	if report.Hits != 1 || len(report.Unread) != 1 || ops.ClassOf(report.Err()) != ops.Leak {
		t.Errorf("%+v, %v", report, report.Err())
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	clean, leaking := Bytes("clean", []byte("x")), Bytes("leaking", []byte("a\n"+value))
	report := s.Run(t.Context(), clean, leaking, clean)
	if report.Hits != 1 || report.Canaries != 3 || report.Bytes != int64(4+len(value)) || len(report.Results) != 3 {
		t.Errorf("%+v", report)
	}
	var e *ops.Error
	if !errors.As(report.Err(), &e) || e.Class != ops.Leak {
		t.Fatalf("the error is %v", report.Err())
	}
	if want := "leaking:2: KEY: found in raw form"; len(e.Findings) != 1 || e.Findings[0].String() != want {
		t.Errorf("findings %v, should be %q", e.Findings, want)
	}
	if err := s.Run(t.Context(), clean).Err(); err != nil {
		t.Errorf("a clean sweep gives %v", err)
	}
	if ops.ClassOf(s.Run(t.Context()).Err()) != ops.Incomplete {
		t.Error("a sweep of nothing is silent")
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "p@ss") || strings.Contains(e.Error(), "p@ss") {
		t.Error("the value is in the report")
	}
}

func TestManyHits(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	report := s.Run(t.Context(), Bytes("b", []byte(strings.Repeat(value+"\n", mostHits+7))))
	if report.Hits != mostHits+7 || len(report.Results[0].Hits) != mostHits || report.Results[0].More != 7 {
		t.Errorf("%d hits, %d kept, %d more", report.Hits, len(report.Results[0].Hits), report.Results[0].More)
	}
	if !strings.Contains(report.Err().Error(), "7 more") {
		t.Error("the error does not tell of the rest")
	}
}

// TestNamesDoNotLeak: surfaces, files and errors can have a value in them.
func TestNamesDoNotLeak(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	report := s.Run(t.Context(),
		Bytes("surface "+value, []byte(value)),
		Stream("url", func(context.Context) (io.ReadCloser, error) {
			return nil, &url.Error{Op: "Get", URL: "http://h/?key=" + url.QueryEscape(value), Err: io.EOF}
		}))
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	again := newSweep(t)
	for what, out := range map[string]string{"report": string(text), "error": report.Err().Error()} {
		if found := read(t, again, Bytes(what, []byte(out))); len(found.Hits) > 0 {
			t.Errorf("%s: %+v", what, found.Hits)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	ctx, cancel := context.WithCancel(t.Context())
	endless := Stream("endless", func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func(p []byte) (int, error) {
			cancel()
			clear(p)
			return len(p), nil
		})), nil
	})
	report := s.Run(ctx, endless, Bytes("left", []byte("x")))
	if len(report.Unread) != 2 || ops.ClassOf(report.Err()) != ops.Interrupted {
		t.Errorf("%+v, %v", report, report.Err())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestPlanted: a canary that the caller has put into the real thing is
// demanded, and none is planted.
func TestPlanted(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	with := Bytes("with", []byte("hello "+s.Canary()+"\n"+value))
	with.Planted = true
	if found := read(t, s, with); len(found.Hits) != 1 || found.Canaries != 1 {
		t.Errorf("%+v", found)
	}
	without := Bytes("without", []byte("hello"))
	without.Planted = true
	unread(t, s, without, "the canary that was planted in it was not found")
}

// TestNoSurfaceIsBelievedWithoutCanary: a surface that plants none, or whose
// reader loses what it reads, is unread.
func TestNoSurfaceIsBelievedWithoutCanary(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	unread(t, s, Surface{Name: "reads nothing", read: func(*reading) error { return nil }}, "no canary was planted")
	unread(t, s, Surface{Name: "plants none", read: func(r *reading) error {
		w := r.search("")
		_, err := io.WriteString(w, "x")
		return errors.Join(err, w.finish())
	}}, "no canary was planted")
	unread(t, s, Surface{Name: "loses the end", read: func(r *reading) error {
		_, err := io.WriteString(r.watch("stdout"), "x")
		return err
	}}, "the canary that was planted was not found: in stdout")
	unread(t, s, Surface{Name: "one of two", empty: true, read: func(r *reading) error {
		r.watch("stdout")
		return r.watch("stderr").finish()
	}}, "in stdout")
}

// engine is a Docker for which everything is in memory.
type engine struct {
	stdout, stderr, inspect, config, history string
	saved                                    []byte
	err                                      error
}

func (e engine) ContainerLogs(_ context.Context, _ string, _ ops.EngineLogOptions, stdout, stderr io.Writer) error {
	for rest := e.stdout; rest != ""; rest = rest[min(7, len(rest)):] { // cut as frames are
		if _, err := io.WriteString(stdout, rest[:min(7, len(rest))]); err != nil {
			return err
		}
		if _, err := io.WriteString(stderr, ""); err != nil {
			return err
		}
	}
	_, err := io.WriteString(stderr, e.stderr)
	return errors.Join(err, e.err)
}

func (e engine) InspectContainer(context.Context, string) ([]byte, error) {
	return []byte(e.inspect), e.err
}
func (e engine) InspectImage(context.Context, string) ([]byte, error) { return []byte(e.config), e.err }
func (e engine) ImageHistory(context.Context, string) ([]byte, error) {
	return []byte(e.history), e.err
}
func (e engine) SaveImage(_ context.Context, w io.Writer, _ ...string) error {
	_, err := io.Copy(w, bytes.NewReader(e.saved))
	return errors.Join(err, e.err)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	found := read(t, s, Logs(engine{stdout: "ready\nkey=" + value + "\n", stderr: "\n\npanic: " + value}, "api"))
	want := []Hit{
		{Name: "KEY", Encoding: "raw", Surface: "logs of api", Place: "stdout", Line: 2, Offset: 10},
		{Name: "KEY", Encoding: "raw", Surface: "logs of api", Place: "stderr", Line: 3, Offset: 9},
	}
	if !slices.Equal(found.Hits, want) || found.Canaries != 2 || found.Parts != 2 {
		t.Errorf("%+v", found)
	}
	if silent := read(t, s, Logs(engine{}, "api")); silent.Canaries != 2 || silent.Bytes != 0 {
		t.Errorf("an empty log gives %+v", silent)
	}
	unread(t, s, Logs(engine{stdout: "x", err: errors.New("no such container: api")}, "api"), "no such container")
}

func TestInspectAndImageConfig(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	inJSON, err := json.Marshal(map[string]any{"Config": map[string]any{"Env": []string{"A=b", "KEY=" + value}}})
	if err != nil {
		t.Fatal(err)
	}
	leaking, clean := string(inJSON), `{"Config":{"Env":["A=b"]}}`
	for name, surface := range map[string]func(text string) Surface{
		"inspect": func(text string) Surface { return Inspect(engine{inspect: text}, "api") },
		"config":  func(text string) Surface { return ImageConfig(engine{config: text}, "api:dev") },
		"history": func(text string) Surface { return ImageHistory(engine{history: text}, "api:dev") },
	} {
		if found := read(t, s, surface(leaking)); len(found.Hits) != 1 || found.Hits[0].Encoding != "json" {
			t.Errorf("%s: %+v", name, found.Hits)
		}
		if found := read(t, s, surface(clean)); len(found.Hits) != 0 {
			t.Errorf("%s: %+v", name, found.Hits)
		}
		unread(t, s, surface(""), "nothing was read")
	}
	unread(t, s, Inspect(engine{err: io.ErrUnexpectedEOF}, "api"), "unexpected EOF")
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	w := s.Watch(t.Context(), "our own output")
	for _, part := range []string{"a\nvalue: ", value[:4], value[4:], "\n"} {
		if n, err := io.WriteString(w, part); n != len(part) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	result, err := w.Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Hits) != 1 || result.Hits[0].Line != 2 || result.Canaries != 1 || result.Bytes != int64(10+len(value)) {
		t.Errorf("%+v", result)
	}
	if _, err := io.WriteString(w, "late"); err == nil {
		t.Error("a write after the end is accepted")
	}
}

func TestWatchIsSilentOnlyIfRead(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	result, err := s.Watch(t.Context(), "our own output").Result()
	if err != nil || result.Canaries != 1 || len(result.Hits) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := s.Watch(ctx, "our own output")
	cancel()
	if _, err := io.WriteString(w, value); !errors.Is(err, context.Canceled) {
		t.Errorf("a write after the context's end gives %v", err)
	}
	if _, err := w.Result(); err == nil {
		t.Error("a watch that could not be ended is believed")
	}
}
