package sweep

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
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

// read reads one surface, and fails if that is not possible.
func read(t *testing.T, s *Sweep, surface Surface) Result {
	t.Helper()
	result, err := s.read(t.Context(), surface)
	if err != nil {
		t.Fatalf("%s: %v", surface.Name, err)
	}
	if result.Canaries == 0 {
		t.Fatalf("%s: read without a canary", surface.Name)
	}
	return result
}

// unread reads one surface, and fails unless it counts as unread.
func unread(t *testing.T, s *Sweep, surface Surface, why string) {
	t.Helper()
	var e *fault.Error
	report := s.Run(t.Context(), surface)
	if err := report.Err(); !errors.As(err, &e) || e.Code != fault.Incomplete {
		t.Errorf("%s: the report's error is %v, should be of class Incomplete", surface.Name, err)
	} else if !slices.ContainsFunc(e.Findings, func(f fault.Finding) bool {
		return f.File == surface.Name && strings.HasPrefix(f.Problem, "not read: ") && strings.Contains(f.Problem, why)
	}) {
		t.Errorf("%s: the findings %v do not say why it was not read", surface.Name, e.Findings)
	}
	if len(report.Results) > 0 {
		t.Errorf("%s: it is among what was read", surface.Name)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	clean := read(t, s, Bytes("rendered compose", []byte("nothing\nhere\n")))
	if len(clean.Hits) != 0 || clean.Bytes != 13 || clean.Canaries != 1 {
		t.Errorf("a clean text gives %+v", clean)
	}
	found := read(t, s, Bytes("rendered compose", []byte("one\ntwo "+value+"\n")))
	want := []Hit{{Name: "KEY", Encoding: "raw", Surface: "rendered compose", Line: 2}}
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

// TestNewProvesTheSearch: a search that finds nothing, or only another value, is
// rejected.
func TestNewProvesTheSearch(t *testing.T) {
	t.Parallel()
	for name, search := range map[string]func([]secrets.Known) *redact.Matcher{
		"finds nothing": func([]secrets.Known) *redact.Matcher { return nil },
		"finds another": func([]secrets.Known) *redact.Matcher {
			return redact.New([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte("something else"))}})
		},
	} {
		if _, err := newWith(nil, search); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "the search is broken") {
			t.Errorf("a search that %s gives %v", name, err)
		}
	}
}

// TestEveryEncodingIsProven: a search that lacks one encoding is rejected, and
// the error names the encoding.
func TestEveryEncodingIsProven(t *testing.T) {
	t.Parallel()
	const proven = "canary-of-this-test \"/'<&+é\x01$ canary\na line of the canary"
	whole := redact.New([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte(proven))}})
	if err := prove(whole.Find, proven); err != nil {
		t.Fatal(err)
	}
	for _, encoding := range redact.Encodings() {
		lacking := func(text []byte) []redact.Match {
			return slices.DeleteFunc(whole.Find(text), func(m redact.Match) bool { return m.Encoding == encoding })
		}
		if err := prove(lacking, proven); err == nil || !strings.HasSuffix(err.Error(), "the canary in "+encoding) {
			t.Errorf("a search without %s gives %v", encoding, err)
		}
		misnamed := func(text []byte) []redact.Match {
			found := whole.Find(text)
			for i := range found {
				found[i].Encoding = strings.Replace(found[i].Encoding, encoding, "another", 1)
			}
			return found
		}
		if err := prove(misnamed, proven); err == nil {
			t.Errorf("a search that calls %s another encoding is believed", encoding)
		}
	}
}

func TestCanaryName(t *testing.T) {
	t.Parallel()
	_, err := New([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte(value))}})
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a secret with the canary's name gives %v", err)
	}
	known := []secrets.Known{{Name: "KEY", Value: secrets.New([]byte(value))}, {Name: "NEXT"}}
	if _, err := New(known[:1]); err != nil || known[1].Name != "NEXT" {
		t.Errorf("New writes into the list of its caller: %v", err)
	}
	a, b := newSweep(t), newSweep(t)
	if a.canary == b.canary || len(a.canary) < 20 {
		t.Error("the canary is not random")
	}
}

func TestUnsearched(t *testing.T) {
	t.Parallel()
	s := newSweep(t, "TINY", "abc")
	if short := s.Unsearched(); !slices.Equal(short, []string{"TINY"}) {
		t.Errorf("unsearched: %v", short)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	closed := false
	surface := Stream("history of git", func(context.Context) (io.ReadCloser, error) {
		return closer{strings.NewReader("key: " + value), &closed}, nil
	})
	if found := read(t, s, surface); len(found.Hits) != 1 || found.Bytes != int64(5+len(value)) || found.Canaries != 4 {
		t.Errorf("%+v, should have a canary in the stream and three in archives", found)
	}
	empty := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
	if found := read(t, s, Stream("empty", empty)); found.Bytes != 0 || found.Canaries != 4 {
		t.Errorf("an empty stream gives %+v", found)
	}
	if !closed {
		t.Error("the stream was not closed")
	}
	unread(t, s, Stream("no such", func(context.Context) (io.ReadCloser, error) { return nil, os.ErrNotExist }), "not exist")
	half := io.MultiReader(strings.NewReader(value), failing{})
	unread(t, s, Stream("broken", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(half), nil }), "pulled the plug")
	once := false
	unread(t, s, Stream("broken once", func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func([]byte) (int, error) {
			if once = !once; once {
				return 0, errors.New("pulled the plug")
			}
			return 0, io.EOF
		})), nil
	}), "pulled the plug")
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("pulled the plug") }

// TestHitsOfAnUnreadSurfaceCount: a value found before the reading failed is a
// leak, and the class says so.
func TestHitsOfAnUnreadSurfaceCount(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	half := io.MultiReader(strings.NewReader(value+"\n"+strings.Repeat("x", 100_000)), failing{})
	report := s.Run(t.Context(), Stream("broken", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(half), nil }))
	if report.Hits != 1 || len(report.Results) != 1 || len(report.Unread) != 1 || fault.CodeOf(report.Err()) != fault.Leak {
		t.Errorf("%+v, %v", report, report.Err())
	}
	if got := report.Err().Error(); !strings.Contains(got, "pulled the plug") || !strings.Contains(got, "KEY") {
		t.Errorf("the error tells of one of the two: %v", got)
	}
	lost := func(canary func(*reading, string) *watched) Surface {
		return Surface{Name: "lost", read: func(r *reading) error {
			_, err := io.WriteString(canary(r, "stdout"), value+"\n")
			return err
		}}
	}
	for _, surface := range []Surface{lost((*reading).watch), lost((*reading).search)} {
		report := s.Run(t.Context(), surface)
		if report.Hits != 1 || len(report.Results) != 1 || len(report.Unread) != 1 || fault.CodeOf(report.Err()) != fault.Leak {
			t.Errorf("%s: %+v", surface.Name, report)
		}
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
	var e *fault.Error
	if !errors.As(report.Err(), &e) || e.Code != fault.Leak {
		t.Fatalf("the error is %v", report.Err())
	}
	if want := "found values of secrets in 1 place"; e.What != want || !strings.Contains(e.Next, "mage secrets:set") {
		t.Errorf("the error says %q, then %q", e.What, e.Next)
	}
	if want := "leaking:2: KEY: found in raw form"; len(e.Findings) != 1 || e.Findings[0].String() != want {
		t.Errorf("findings %v, should be %q", e.Findings, want)
	}
	if err := s.Run(t.Context(), clean).Err(); err != nil {
		t.Errorf("a clean sweep gives %v", err)
	}
	if fault.CodeOf(s.Run(t.Context()).Err()) != fault.Incomplete {
		t.Error("a sweep of nothing is silent")
	}
	if strings.Contains(e.Error(), "p@ss") {
		t.Error("the value is in the error")
	}
}

func TestManyHits(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	report := s.Run(t.Context(), Bytes("b", []byte(strings.Repeat(value+"\n", mostHits+7))))
	if report.Hits != mostHits+7 || len(report.Results[0].Hits) != mostHits || report.Results[0].More != 7 {
		t.Errorf("%d hits, %d kept, %d more", report.Hits, len(report.Results[0].Hits), report.Results[0].More)
	}
	var e *fault.Error
	if !errors.As(report.Err(), &e) || len(e.Findings) != mostHits+1 || e.Findings[mostHits] != (fault.Finding{File: "b", Problem: "7 more"}) {
		t.Error("the error does not tell of the rest")
	}
}

// TestNamesDoNotLeak: the names of surfaces and files, and errors, can contain a
// value.
func TestNamesDoNotLeak(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	report := s.Run(t.Context(),
		Bytes("surface "+value, []byte(value)),
		Tree("names", fstest.MapFS{
			value:             {Data: []byte(value)},
			value + ".tar":    {Data: tarBytes(t, file{name: value, content: value})},
			value + ".xz":     {Data: []byte("\xfd7zXZ\x00")},
			value + ".socket": {Mode: fs.ModeSocket},
			"to":              {Data: []byte(value), Mode: fs.ModeSymlink},
			"out/" + value:    {Data: []byte("x")},
		}, "out/p@ss/*"),
		Tree("not read", brokenFS{fstest.MapFS{value + ".broken": {}}}),
		Stream("url", func(context.Context) (io.ReadCloser, error) {
			return nil, &url.Error{Op: "Get", URL: "http://h/?key=" + url.QueryEscape(value), Err: io.EOF}
		}))
	if len(report.Results) != 3 || len(report.Results[1].Opaque) != 2 || len(report.Unread) != 2 {
		t.Fatalf("%d surfaces were read", len(report.Results))
	}
	for _, place := range []string{"‹KEY›", "name of ‹KEY›", "name of ‹KEY›.xz", "‹KEY›.tar: ‹KEY›", "target of to"} {
		if !slices.ContainsFunc(report.Results[1].Hits, func(h Hit) bool { return h.Place == place }) {
			t.Errorf("no hit in %q", place)
		}
	}
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
	if len(report.Unread) != 2 || fault.CodeOf(report.Err()) != fault.Interrupted {
		t.Errorf("%+v, %v", report, report.Err())
	}
	ctx, cancel = context.WithCancel(t.Context())
	report = s.Run(ctx, Tree("tree", cancelFS{fstest.MapFS{"a": {}, "b": {}}, cancel}))
	if len(report.Unread) != 1 || fault.CodeOf(report.Err()) != fault.Interrupted {
		t.Errorf("a tree: %+v, %v", report, report.Err())
	}
}

// cancelFS cancels the context when a file is opened.
type cancelFS struct {
	fstest.MapFS
	cancel func()
}

func (c cancelFS) Open(name string) (fs.File, error) {
	c.cancel()
	return c.MapFS.Open(name)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestEachCanaryIsDemanded: a surface is unread if any of its canaries was not
// found.
func TestEachCanaryIsDemanded(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	archive := []string{canaryDir + "/plain", canaryDir + "/layer.tar: inside", canaryDir + "/layer.tar.gz (gzip): inside"}
	stream := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
	for _, c := range []struct {
		surface Surface
		places  []string
	}{
		{Bytes("bytes", []byte("x")), []string{""}},
		{Inspect(engine{inspect: "x"}, "api"), []string{""}},
		{Logs(engine{stdout: "x"}, "api"), []string{"stdout", "stderr"}},
		{Stream("stream", stream), append([]string{""}, archive...)},
		{Tree("tree", fstest.MapFS{"x": {Data: []byte("x")}}), append([]string{canaryDir, "file names"}, archive...)},
		{Image(engine{saved: savedImage(t, "b", "c", "d")}, "api:dev"), archive},
	} {
		for _, lost := range c.places {
			r := &reading{ctx: t.Context(), sweep: s, seen: map[string]bool{}}
			if err := c.surface.read(r); err != nil {
				t.Fatal(err)
			}
			if len(r.seen) != len(c.places) || !r.seen[lost] {
				t.Errorf("%s: canaries were found in %v, should be in %q", c.surface.Name, r.seen, c.places)
			}
			delete(r.seen, lost)
			if _, err := r.close(true); err == nil || !strings.HasSuffix(err.Error(), strings.TrimSpace("was not found: in "+lost)) {
				t.Errorf("%s: without the canary in %q the error is %v", c.surface.Name, lost, err)
			}
		}
	}
}

// TestNoSurfaceIsBelievedWithoutCanary: a surface without a canary, or whose
// reader loses data, is unread.
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

// engine is a Docker with everything in memory.
type engine struct {
	stdout, stderr, inspect, config, history string
	saved                                    []byte
	err                                      error
}

func (e engine) ContainerLogs(_ context.Context, _ string, _ docker.LogOptions, stdout, stderr io.Writer) error {
	for rest := e.stdout; rest != ""; rest = rest[min(7, len(rest)):] { // split as frames are
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
		{Name: "KEY", Encoding: "raw", Surface: "logs of api", Place: "stdout", Line: 2},
		{Name: "KEY", Encoding: "raw", Surface: "logs of api", Place: "stderr", Line: 3},
	}
	if !slices.Equal(found.Hits, want) || found.Canaries != 2 {
		t.Errorf("%+v", found)
	}
	var e *fault.Error
	report := s.Run(t.Context(), Logs(engine{stderr: value}, "api"))
	if want := "logs of api:1: KEY: found in raw form in stderr"; !errors.As(report.Err(), &e) || len(e.Findings) != 1 || e.Findings[0].String() != want {
		t.Errorf("the error is %v, should tell %q", report.Err(), want)
	}
	if silent := read(t, s, Logs(engine{}, "api")); silent.Canaries != 2 || silent.Bytes != 0 {
		t.Errorf("an empty log gives %+v", silent)
	}
	unread(t, s, Logs(engine{stdout: "x", err: errors.New("no such container: api")}, "api"), "no such container")
}

// TestSurfacesHaveTheirNames: hits and errors name the surface.
func TestSurfacesHaveTheirNames(t *testing.T) {
	t.Parallel()
	docker := engine{}
	for want, surface := range map[string]Surface{
		"bytes": Bytes("bytes", nil), "stream": Stream("stream", nil), "tree": Tree("tree", nil), "archive": Archive("archive", nil),
		"logs of api": Logs(docker, "api"), "inspect of api": Inspect(docker, "api"),
		"config of api:dev": ImageConfig(docker, "api:dev"), "history of api:dev": ImageHistory(docker, "api:dev"), "image api:dev": Image(docker, "api:dev"),
	} {
		if surface.Name != want {
			t.Errorf("%q, should be %q", surface.Name, want)
		}
	}
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
