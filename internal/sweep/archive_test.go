package sweep

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// file is an entry of a tar archive; a link if to is set, a hard one if it
// begins with "=".
type file struct{ name, content, to string }

func tarBytes(t *testing.T, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Format: tar.FormatPAX}
		if f.to != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.to
		}
		if to, hard := strings.CutPrefix(f.to, "="); hard {
			h.Typeflag, h.Linkname = tar.TypeLink, to
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func manifestOf(t *testing.T, config string, layers ...string) file {
	t.Helper()
	text, err := json.Marshal([]manifest{{config, layers}})
	if err != nil {
		t.Fatal(err)
	}
	return file{name: "manifest.json", content: string(text)}
}

// savedImage returns an image in the format of docker save with two layers, one
// of them compressed, a third that is a link to the first, and an empty one.
func savedImage(t *testing.T, config, first, second string) []byte {
	t.Helper()
	return tarBytes(t,
		file{name: "abc.json", content: `{"config":{"Env":["A=` + config + `"]}}`},
		file{name: "one/layer.tar", content: string(tarBytes(t, file{name: "etc/", content: ""}, file{name: "etc/motd", content: "one\ntwo\n"}, file{name: "etc/app.conf", content: "# line one\nkey=" + first}))},
		file{name: "blobs/sha256/two", content: string(gzipped(t, tarBytes(t, file{name: "./root/.netrc", content: second}, file{name: "root/.wh.gone"})))},
		file{name: "three/layer.tar", to: "../one/layer.tar"},
		file{name: "four/layer.tar", content: string(make([]byte, 1024))},
		manifestOf(t, "abc.json", "one/layer.tar", "blobs/sha256/two", "three/layer.tar", "four/layer.tar"),
	)
}

func TestImage(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	clean := savedImage(t, "b", "c", "d")
	result := read(t, s, Image(engine{saved: clean}, "api:dev"))
	if len(result.Hits) != 0 || result.Canaries != 3 {
		t.Errorf("a clean image gives %+v", result)
	}
	if result.Bytes < int64(len(clean)) || result.Bytes > int64(len(clean))+4096 {
		t.Errorf("%d bytes of an image of %d were read", result.Bytes, len(clean))
	}
	for place, saved := range map[string][]byte{
		"configuration":                     savedImage(t, "p@ss/w0rd+\\\"1", "c", "d"),
		"layer 1 of 4: etc/app.conf":        savedImage(t, "b", value, "d"),
		"layer 2 of 4: root/.netrc":         savedImage(t, "b", "c", value),
		"layer 1 of 1: etc/app.conf (gzip)": nil,
		"layer 1 of 1: headers":             nil,
		"layer 1 of 1: root/n.tar: x":       nil,
		"index.json":                        nil,
	} {
		switch place {
		case "index.json": // not named by any manifest
			saved = tarBytes(t, file{name: "c", content: "{}"}, manifestOf(t, "c"), file{name: "index.json", content: value})
		case "layer 1 of 1: etc/app.conf (gzip)":
			saved = tarBytes(t, file{name: "c", content: "{}"}, manifestOf(t, "c", "one/layer.tar"),
				file{name: "one/layer.tar", content: string(tarBytes(t, file{name: "etc/app.conf", content: string(gzipped(t, []byte(value)))}))})
		case "layer 1 of 1: headers":
			saved = tarBytes(t, file{name: "c", content: "{}"}, manifestOf(t, "c", "one/layer.tar"),
				file{name: "one/layer.tar", content: string(tarBytes(t, file{name: "x"}, file{name: "tmp/" + value}))})
		case "layer 1 of 1: root/n.tar: x":
			saved = tarBytes(t, file{name: "c", content: "{}"}, manifestOf(t, "c", "blobs/sha256/two"),
				file{name: "blobs/sha256/two", content: string(gzipped(t, tarBytes(t, file{name: "root/n.tar", content: string(tarBytes(t, file{name: "x", content: value}))})))})
		}
		found := read(t, s, Image(engine{saved: saved}, "api:dev"))
		if len(found.Hits) != 1 || found.Hits[0].Place != place {
			t.Errorf("a value in %s gives %+v", place, found.Hits)
		}
	}
	found := read(t, s, Image(engine{saved: savedImage(t, "b", value, "d")}, "api:dev"))
	if found.Hits[0].Line != 2 {
		t.Errorf("line %d of the file, should be 2", found.Hits[0].Line)
	}
}

// TestImageOfLinks: a manifest can name a layer by a link of either kind, and by
// a path that is not clean.
func TestImageOfLinks(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	layer := string(tarBytes(t, file{name: "x", content: value}, file{name: "y.xz", content: "\xfd7zXZ\x00"}))
	for name, c := range map[string]struct {
		link file
		path string
	}{
		"soft": {file{name: "one/link", to: "../two/layer"}, "one/link"},
		"hard": {file{name: "one/link", to: "=./two/layer"}, "one/link"},
		"long": {file{name: "one/link", to: "=two/layer"}, "./two//layer"},
	} {
		saved := tarBytes(t, file{name: "c.json", content: value}, file{name: "two/layer", content: layer}, c.link, manifestOf(t, "./c.json", c.path))
		found := read(t, s, Image(engine{saved: saved}, name))
		if len(found.Hits) != 2 || found.Hits[0].Place != "configuration" || found.Hits[1].Place != "layer 1 of 1: x" {
			t.Errorf("%s: %+v", name, found.Hits)
		}
		if want := []string{"layer 1 of 1: y.xz"}; !slices.Equal(found.Opaque, want) {
			t.Errorf("%s: opaque %q, should be %q", name, found.Opaque, want)
		}
	}
}

func TestImageThatIsNotAllThere(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	whole := savedImage(t, "b", "c", "d")
	layer := file{name: "l", content: string(tarBytes(t, file{name: "x", content: "y"}))}
	config := file{name: "c", content: "{}"}
	for name, c := range map[string]struct {
		saved []byte
		why   string
	}{
		"empty":              {nil, "no manifest.json"},
		"cut in the middle":  {whole[:len(whole)/2+100], "EOF"},
		"no manifest":        {tarBytes(t, config, layer), "no manifest.json"},
		"broken manifest":    {tarBytes(t, config, file{name: "manifest.json", content: "{"}), "manifest.json cannot be read"},
		"missing layer":      {tarBytes(t, config, layer, manifestOf(t, "c", "l", "gone")), "layer 2 of 2"},
		"layer to nowhere":   {tarBytes(t, config, file{name: "l", to: "gone"}, manifestOf(t, "c", "l")), "layer 1 of 1"},
		"missing config":     {tarBytes(t, layer, manifestOf(t, "c", "l")), "configuration"},
		"layer is not tar":   {tarBytes(t, config, file{name: "l", content: "text"}, manifestOf(t, "c", "l")), "layer 1 of 1"},
		"layer in zstd":      {tarBytes(t, config, file{name: "l", content: "\x28\xb5\x2f\xfd...."}, manifestOf(t, "c", "l")), "zstd"},
		"gzip of no length":  {tarBytes(t, config, file{name: "l", content: "\x1f\x8b\x08"}, manifestOf(t, "c", "l")), "EOF"},
		"broken gzip":        {tarBytes(t, config, file{name: "l", content: string(gzipped(t, []byte(layer.content))[:60])}, manifestOf(t, "c", "l")), "EOF"},
		"broken tar in gzip": {tarBytes(t, config, file{name: "l", content: string(gzipped(t, tarBytes(t, file{name: "x", content: strings.Repeat("y", 2000)})[:1000]))}, manifestOf(t, "c", "l")), "EOF"},
		"no tar at all":      {[]byte(strings.Repeat("no tar", 200)), "broken"},
	} {
		unread(t, s, Image(engine{saved: c.saved}, name), c.why)
	}
	unread(t, s, Image(engine{saved: whole, err: errors.New("connection reset")}, "reset"), "connection reset")
}

// TestArchivesInLayers: a layer must be readable, but a file in it can be
// anything.
func TestArchivesInLayers(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	broken := string(gzipped(t, []byte(strings.Repeat("text", 100)))[:20])
	layer := tarBytes(t,
		file{name: "a.zip", content: "PK\x03\x04" + value},
		file{name: "b.gz", content: broken},
		file{name: "c.gz", content: string(gzipped(t, []byte(value)))},
		file{name: "d.tar", content: string(tarBytes(t, file{name: "x", content: strings.Repeat("y", 2000)})[:1000])},
		file{name: "e", content: value})
	for name, content := range map[string][]byte{"plain": layer, "compressed": gzipped(t, layer)} {
		saved := tarBytes(t, file{name: "c", content: "{}"}, file{name: "l", content: string(content)}, manifestOf(t, "c", "l"))
		found := read(t, s, Image(engine{saved: saved}, name))
		if len(found.Hits) != 3 || len(found.Opaque) != 3 {
			t.Errorf("%s: hits %+v, opaque %q", name, found.Hits, found.Opaque)
		}
	}
}

// TestImageEndsWithTheReading: when the reader gives up, the function that saves
// gets an error and does not hang.
func TestImageEndsWithTheReading(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	ended := make(chan error, 1)
	surface := Archive("endless", func(_ context.Context, w io.Writer) error {
		var err error
		for err == nil {
			_, err = w.Write([]byte(strings.Repeat("no tar", 1000)))
		}
		ended <- err
		return err
	})
	if _, err := s.read(t.Context(), surface); err == nil {
		t.Error("no error")
	}
	if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the one who saves got %v", err)
	}
}

// TestLargeLayer reads a layer of 100 MB with a value at its end in little
// memory. It measures the allocations of the process, so no other test may run
// at the same time.
func TestLargeLayer(t *testing.T) {
	s := newSweep(t)
	const size = 100 << 20
	block := bytes.Repeat([]byte("some text of a file, not random but not even either 0123456789\n"), 1<<10)
	surface := Archive("large", func(_ context.Context, w io.Writer) error {
		outer := tar.NewWriter(w)
		small := tarBytes(t, manifestOf(t, "c", "l"), file{name: "c", content: "{}"})
		if _, err := w.Write(small[:len(small)-1024]); err != nil { // without the end-of-archive marker
			return err
		}
		var header bytes.Buffer
		if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "usr/lib/large", Size: size, Mode: 0o644}); err != nil {
			return err
		}
		if err := outer.WriteHeader(&tar.Header{Name: "l", Size: int64(header.Len()) + size + 1024, Mode: 0o644}); err != nil {
			return err
		}
		_, err := outer.Write(header.Bytes())
		for left := size; left > 0 && err == nil; {
			part := block[:min(left, len(block))]
			if left -= len(part); left == 0 {
				part = append(bytes.Clone(part[:len(part)-len(value)]), value...)
			}
			_, err = outer.Write(part)
		}
		if err == nil {
			_, err = outer.Write(make([]byte, 1024))
		}
		return errors.Join(err, outer.Close())
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found := read(t, s, surface)
	runtime.ReadMemStats(&after)
	if len(found.Hits) != 1 || found.Hits[0].Place != "layer 1 of 1: usr/lib/large" || found.Bytes < size {
		t.Errorf("%d hits, %d bytes", len(found.Hits), found.Bytes)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d KB were allocated", got>>10)
	}
}

func TestArchivesInStreams(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	open := func(content []byte) Surface {
		return Stream("backup", func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		})
	}
	inTar := tarBytes(t, file{name: "a", content: "b"}, file{name: "key", content: value})
	for place, content := range map[string][]byte{
		"key":                           inTar,
		"(gzip)":                        gzipped(t, []byte(value)),
		"(gzip) (gzip)":                 gzipped(t, gzipped(t, []byte(value))),
		"(gzip): key":                   gzipped(t, inTar),
		"in.tar.gz (gzip): key":         tarBytes(t, file{name: "in.tar.gz", content: string(gzipped(t, inTar))}),
		"(gzip): in.tar.gz (gzip): key": gzipped(t, tarBytes(t, file{name: "in.tar.gz", content: string(gzipped(t, inTar))})),
	} {
		found := read(t, s, open(content))
		if len(found.Hits) != 1 || strings.TrimSpace(found.Hits[0].Place) != place {
			t.Errorf("a value in %s gives %+v", place, found.Hits)
		}
	}
	for name, pack := range map[string]func([]byte) []byte{
		"gzip": func(content []byte) []byte { return gzipped(t, content) },
		"tar":  func(content []byte) []byte { return tarBytes(t, file{name: "x", content: string(content)}) },
	} {
		deep := []byte(value + rand.Text() + strings.Repeat(rand.Text(), 50))
		for range deepest {
			deep = pack(deep)
		}
		if found := read(t, s, open(deep)); len(found.Hits) != 1 || len(found.Opaque) != 0 {
			t.Errorf("%s: archives as deep as may be give %+v", name, found)
		}
		if found := read(t, s, open(pack(deep))); name == "gzip" && len(found.Hits) != 0 || len(found.Opaque) != 1 {
			t.Errorf("%s: archives too deep in each other give %+v", name, found)
		}
	}
	broken := gzipped(t, []byte(value+strings.Repeat(value, 100)))
	if found := read(t, s, open(broken[:len(broken)-9])); len(found.Hits) == 0 || len(found.Opaque) != 1 {
		t.Errorf("a broken archive gives %+v", found)
	}
}

// TestCompressedAsNothingThatIsOpened: a file in an unsupported compression
// format is searched as it is, and named; in place of a layer it is an error.
func TestCompressedAsNothingThatIsOpened(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	for as, magic := range map[string]string{
		"zstd": "\x28\xb5\x2f\xfd", "xz": "\xfd7zXZ\x00", "bzip2": "BZh", "zip": "PK\x03\x04", "lz4": "\x04\x22\x4d\x18", "7z": "7z\xbc\xaf",
		"gzip, cut short": "\x1f\x8b\x08",
	} {
		content := magic + value
		found := read(t, s, Stream("backup", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }))
		if len(found.Hits) != 1 || len(found.Opaque) != 1 {
			t.Errorf("%s: %+v", as, found)
		}
		if as, whole := strings.CutSuffix(as, ", cut short"); !whole {
			saved := tarBytes(t, file{name: "c", content: "{}"}, file{name: "l", content: content}, manifestOf(t, "c", "l"))
			unread(t, s, Image(engine{saved: saved}, as), "compressed as "+as+", which is not supported")
		}
	}
}

// TestManyFiles: a place is right even if there were more than are kept.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	var files []file
	for i := range 2 * mostMarks {
		files = append(files, file{name: fmt.Sprint(i), content: "\n"})
	}
	files = append(files, file{name: "last", content: "\n" + value})
	content := tarBytes(t, files...)
	found := read(t, s, Stream("backup", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }))
	if len(found.Hits) != 1 || found.Hits[0].Place != "last" || found.Hits[0].Line != 2 {
		t.Errorf("%+v", found.Hits)
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	root := fstest.MapFS{
		"README.md":          {Data: []byte("hello\n")},
		"a/b/config.yml":     {Data: []byte("x: 1\nkey: " + value)},
		"secrets/KEY":        {Data: []byte(value)},
		".git/objects/1":     {Data: []byte(value)},
		"link":               {Data: []byte("/etc/" + value), Mode: fs.ModeSymlink},
		"pack.tgz":           {Data: gzipped(t, tarBytes(t, file{name: "k", content: value}))},
		"x.xz":               {Data: []byte("\xfd7zXZ\x00 more")},
		"socket":             {Mode: fs.ModeSocket},
		"names/" + value[5:]: {Data: []byte("part of a value in a name is none")},
	}
	result := read(t, s, Tree("work tree", root, "secrets", ".git/"))
	var places []string
	for _, h := range result.Hits {
		places = append(places, h.Place)
	}
	slices.Sort(places)
	if want := []string{"a/b/config.yml", "pack.tgz (gzip): k", "target of link"}; !slices.Equal(places, want) {
		t.Errorf("hits in %q, should be in %q", places, want)
	}
	if want := []string{"socket (not a file)", "x.xz"}; !slices.Equal(result.Opaque, want) {
		t.Errorf("opaque %q", result.Opaque)
	}
	if result.Canaries != 5 {
		t.Errorf("%d canaries: a file, the names, and three in archives", result.Canaries)
	}
}

func TestTreeOfTheRealFileSystem(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"clean": "nothing", "sub/leak": "x\n" + value} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	result := read(t, s, Tree("context", os.DirFS(dir)))
	want := []Hit{{Name: "KEY", Encoding: "raw", Surface: "context", Place: "sub/leak", Line: 2}}
	if !slices.Equal(result.Hits, want) {
		t.Errorf("%+v", result.Hits)
	}
	unread(t, s, Tree("nowhere", os.DirFS(filepath.Join(dir, "no such"))), "no such file")
}

// brokenFS cannot open, list or follow a file whose name ends in "broken".
type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "broken") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

func (b brokenFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.HasSuffix(name, "broken") {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.ReadDir(name)
}

func (b brokenFS) ReadLink(name string) (string, error) {
	if strings.HasSuffix(name, "broken") {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.ReadLink(name)
}

func TestTreeThatIsNotAllRead(t *testing.T) {
	t.Parallel()
	s := newSweep(t)
	files := fstest.MapFS{"ok": {Data: []byte(value)}, "a/broken": {Data: []byte("x")}}
	report := s.Run(t.Context(), Tree("tree", brokenFS{files}))
	if len(report.Unread) != 1 || !strings.Contains(report.Unread[0].Why, "a/broken") || report.Hits != 1 {
		t.Errorf("%+v", report)
	}
	read(t, s, Tree("tree", brokenFS{files}, "a"))
	unread(t, s, Tree("a directory", brokenFS{fstest.MapFS{"ok": {Data: []byte("x")}, "a/broken/file": {Data: []byte("x")}}}), "a/broken: readdir")
	unread(t, s, Tree("a link", brokenFS{fstest.MapFS{"ok": {Data: []byte("x")}, "a/broken": {Mode: fs.ModeSymlink}}}), "a/broken: readlink")
	read(t, s, Tree("a socket, which is not supported", brokenFS{fstest.MapFS{"ok": {Data: []byte("x")}, "a/broken": {Mode: fs.ModeSocket}}}))
	unread(t, s, Tree("tree", files, "*"), "was not found")
	unread(t, s, Tree("tree", files, "[a"), "not a valid pattern")
	unread(t, s, Tree("tree", fstest.MapFS{}), "nothing was read")
	many := fstest.MapFS{}
	for i := range 30 {
		many[fmt.Sprintf("%d.broken", i)] = &fstest.MapFile{}
	}
	unread(t, s, Tree("tree", brokenFS{many}), "20 more")
}
