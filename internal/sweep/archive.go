package sweep

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// deepest is the maximum depth of nested archives that are opened.
const deepest = 4

// kind is the format of a file according to its first bytes.
type kind string

const (
	plainFile kind = ""
	emptyFile kind = "empty" // no bytes, or only zeros
	tarFile   kind = "tar"
	gzipFile  kind = "gzip"
)

// headSize is enough to distinguish the kinds.
const headSize = 512

// kindOf returns the kind of a file with these first bytes. A kind without a
// constant is not opened.
func kindOf(head []byte) kind {
	if len(bytes.TrimRight(head, "\x00")) == 0 {
		return emptyFile
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return tarFile
	}
	for _, one := range []struct {
		magic string
		kind  kind
	}{
		{"\x1f\x8b\x08", gzipFile}, {"\x28\xb5\x2f\xfd", "zstd"}, {"\xfd7zXZ\x00", "xz"},
		{"BZh", "bzip2"}, {"PK\x03\x04", "zip"}, {"\x04\x22\x4d\x18", "lz4"}, {"7z\xbc\xaf", "7z"},
	} {
		if bytes.HasPrefix(head, []byte(one.magic)) {
			return one.kind
		}
	}
	return plainFile
}

// through reads src to its end through w, and opens it if it is an archive. If
// strict, an archive that cannot be opened is an error; otherwise it is opaque
// and searched as it is.
func (r *reading) through(w *watched, place string, src io.Reader, depth int, strict bool) error {
	in := io.TeeReader(bufio.NewReaderSize(src, 64<<10), w)
	if _, err := r.open(w, place, in, depth, strict); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// open reads the content of in if it is an archive. Every byte that it reads
// from in goes through w; it need not read all of them.
func (r *reading) open(w *watched, place string, in io.Reader, depth int, strict bool) (kind, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(in, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return plainFile, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), in)
	is := kindOf(head[:n])
	switch {
	case is == plainFile || is == emptyFile:
		return is, nil
	case depth == 0:
		err = errors.New("archives are nested too deeply")
	case is == tarFile:
		err = r.tar(w, place, whole, depth-1)
	case is == gzipFile:
		err = r.gzip(place+" (gzip)", whole, depth-1, strict)
	default:
		err = fmt.Errorf("%s: compressed as %s, which is not supported", place, is)
	}
	if err == nil || strict || r.ctx.Err() != nil {
		return is, err
	}
	r.result.Opaque = append(r.result.Opaque, r.sweep.matcher.String(place))
	return is, nil
}

// gzip searches the decompressed content of in.
func (r *reading) gzip(place string, in io.Reader, depth int, strict bool) error {
	plain, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	w := r.search(place)
	err = r.through(w, place, plain, depth, strict)
	if err != nil {
		err = fmt.Errorf("%s: %w", place, err)
	}
	return errors.Join(err, w.finish())
}

// tar marks the entries of a tar archive, and opens those that are archives. The
// content already passes through w. A file in an archive can be anything,
// including a broken archive: that is never an error.
func (r *reading) tar(w *watched, place string, in io.Reader, depth int) error {
	return r.entries(w, place, in, func(_ *tar.Header, inside string, content io.Reader) error {
		_, err := r.open(w, inside, content, depth, false)
		return err
	})
}

// entries calls visit for each entry of a tar archive. visit need not read the
// whole content.
func (r *reading) entries(w *watched, place string, in io.Reader, visit func(*tar.Header, string, io.Reader) error) error {
	if place != "" {
		place += ": "
	}
	for archive := tar.NewReader(in); ; {
		w.mark(place + "headers")
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%sbroken: %w", place, err)
		}
		inside := place + path.Clean(header.Name)
		w.mark(inside)
		if err := visit(header, inside, archive); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return fmt.Errorf("%s: %w", inside, err)
		}
	}
}

// manifest is an entry of manifest.json of a saved image.
type manifest struct {
	Config string
	Layers []string
}

// mostManifest is the maximum size of a manifest in bytes.
const mostManifest = 16 << 20

// image reads a saved image strictly. It puts canaries in front of it: a file, a
// file in a layer, and a file in a compressed layer.
func (r *reading) image(in io.Reader) error {
	w := r.search("")
	front, err := r.canaryArchive(false)
	if err != nil {
		return err
	}
	r.own += int64(len(front))
	stream := io.TeeReader(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(front), in), 64<<10), w)
	kinds := map[string]kind{}
	links := map[string]string{}
	var manifests []manifest
	err = r.entries(w, "", stream, func(h *tar.Header, name string, content io.Reader) error {
		switch {
		case h.Typeflag == tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
			return nil
		case h.Typeflag == tar.TypeLink:
			links[name] = path.Clean(h.Linkname)
			return nil
		case name == "manifest.json":
			if json.NewDecoder(io.LimitReader(content, mostManifest)).Decode(&manifests) != nil {
				return errors.New("its manifest.json cannot be read")
			}
			return nil
		}
		is, err := r.open(w, name, content, deepest, true)
		kinds[name] = is
		return err
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	for _, m := range manifests {
		for i, layer := range m.Layers {
			layer = path.Clean(layer)
			m.Layers[i] = cmp.Or(links[layer], layer)
		}
	}
	if err := complete(manifests, kinds); err != nil {
		return err
	}
	r.rename(manifests)
	return nil
}

// rename names places by their role in the manifests, because the engine's file
// names are digests and differ from release to release. It must be called once,
// at the end: the manifest comes last.
func (r *reading) rename(manifests []manifest) {
	words := map[string]string{}
	for _, m := range manifests {
		for i, layer := range m.Layers {
			if words[layer] == "" { // one file can be several layers
				words[layer] = fmt.Sprintf("layer %d of %d", i+1, len(m.Layers))
			}
		}
		words[path.Clean(m.Config)] = "configuration"
	}
	named := func(place string) string {
		file, rest := place, ""
		if at := strings.IndexAny(place, ": "); at >= 0 {
			file, rest = place[:at], strings.TrimPrefix(place[at:], " (gzip)")
		}
		if words[file] == "" {
			return place
		}
		return words[file] + rest
	}
	for i := range r.result.Hits {
		r.result.Hits[i].Place = named(r.result.Hits[i].Place)
	}
	for i := range r.result.Opaque {
		r.result.Opaque[i] = named(r.result.Opaque[i])
	}
}

// complete returns an error unless every file named in the manifests was read.
func complete(manifests []manifest, kinds map[string]kind) error {
	if len(manifests) == 0 {
		return errors.New("it has no manifest.json: it is not a saved image, or is truncated")
	}
	for _, m := range manifests {
		if _, read := kinds[path.Clean(m.Config)]; !read {
			return errors.New("the configuration that its manifest names was not read")
		}
		for i, layer := range m.Layers {
			if is, read := kinds[layer]; !read || is == plainFile {
				return fmt.Errorf("layer %d of %d that its manifest names was not read", i+1, len(m.Layers))
			}
		}
	}
	return nil
}

// canaryDir is where canaries are planted in archives and trees.
const canaryDir = "keepmum-canary"

// canaryArchive returns a tar archive with the canary as a file, in an archive
// and in a compressed one, and records these places as planted. Without ended it
// lacks the end-of-archive marker, so that another archive can follow.
func (r *reading) canaryArchive(ended bool) ([]byte, error) {
	layer, err := tarOf(true, map[string][]byte{"inside": []byte(r.sweep.canary)})
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(layer); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	r.own += int64(len(layer)) // counted again when it is decompressed
	r.set = append(r.set, canaryDir+"/plain", canaryDir+"/layer.tar: inside", canaryDir+"/layer.tar.gz (gzip): inside")
	return tarOf(ended, map[string][]byte{
		canaryDir + "/plain":        []byte(r.sweep.canary),
		canaryDir + "/layer.tar":    layer,
		canaryDir + "/layer.tar.gz": packed.Bytes(),
	})
}

// tarOf returns a tar archive of files.
func tarOf(ended bool, files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	finish := w.Close
	if !ended {
		finish = w.Flush
	}
	err := finish()
	return b.Bytes(), err
}

// archives proves that archives are opened, by reading one that contains the
// canary.
func (r *reading) archives() error {
	archive, err := r.canaryArchive(true)
	if err != nil {
		return err
	}
	r.own += int64(len(archive))
	w := r.search("")
	if err := r.through(w, "", bytes.NewReader(archive), deepest, true); err != nil {
		return err
	}
	return w.finish()
}
