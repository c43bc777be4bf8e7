package imagebuild

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// listing reads a tar stream back.
func listing(t *testing.T, stream io.Reader) (headers []*tar.Header, contents map[string]string) {
	t.Helper()
	contents = map[string]string{}
	for in := tar.NewReader(stream); ; {
		header, err := in.Next()
		if err == io.EOF {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		headers, contents[header.Name] = append(headers, header), string(data)
	}
}

func tarOf(t interface{ Fatal(...any) }, r rootfs) []byte {
	var b bytes.Buffer
	if err := r.writeTar(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRootfs_WriteTar(t *testing.T) {
	r := rootfs{}
	r.file("etc/ssl/certs/ca.crt", 0o644, []byte("roots"))
	r.file("api", 0o755, []byte("program"))
	r.dir("tmp", 0o1777, 0, 0)
	r.dir("var/data", 0o700, 999, 998)
	r.symlink("bin", "usr/bin")
	headers, contents := listing(t, bytes.NewReader(tarOf(t, r)))
	var got []string
	for _, h := range headers {
		got = append(got, strings.Join([]string{h.Name, h.FileInfo().Mode().String(), h.Linkname}, " "))
		if !h.ModTime.Equal(epoch()) || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s: time %s, user %q", h.Name, h.ModTime, h.Uname)
		}
		if h.Name == "var/data/" && (h.Uid != 999 || h.Gid != 998) {
			t.Errorf("owner %d:%d", h.Uid, h.Gid)
		}
	}
	want := "api -rwxr-xr-x |bin Lrwxrwxrwx usr/bin|etc/ drwxr-xr-x |etc/ssl/ drwxr-xr-x |etc/ssl/certs/ drwxr-xr-x |etc/ssl/certs/ca.crt -rw-r--r-- |tmp/ dtrwxrwxrwx |var/ drwxr-xr-x |var/data/ drwx------ "
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if contents["api"] != "program" {
		t.Errorf("content %q", contents["api"])
	}
}

func TestRootfs_EqualTreesGiveEqualBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := rapid.MapOf(rapid.StringMatching(`[a-c]/[a-z]{1,3}`), rapid.SliceOf(rapid.Byte())).Draw(t, "files")
		one, two := rootfs{}, rootfs{}
		names := slices.Sorted(maps.Keys(files))
		for _, name := range names {
			one.file(name, 0o644, files[name])
		}
		for i := len(names) - 1; i >= 0; i-- {
			two.file(names[i], 0o644, files[names[i]])
		}
		if !bytes.Equal(tarOf(t, one), tarOf(t, two)) {
			t.Fatal("the order of adding changes the bytes")
		}
		if len(names) > 0 {
			two.file(names[0], 0o644, append([]byte("x"), files[names[0]]...))
			if bytes.Equal(tarOf(t, one), tarOf(t, two)) {
				t.Fatal("other content gives the same bytes")
			}
		}
	})
}

func TestRootfs_ReadTarTakesWantedFiles(t *testing.T) {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "./usr/bin/su", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 7, Size: 4},
		{Name: "./usr/bin/sudo", Typeflag: tar.TypeLink, Linkname: "./usr/bin/su"},
		{Name: "./usr/bin/link", Typeflag: tar.TypeSymlink, Linkname: "su"},
		{Name: "../../etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4},
		{Name: "./dev/null", Typeflag: tar.TypeChar, Mode: 0o666},
		{Name: "./usr/share/doc/x", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4},
	} {
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = out.Write([]byte("data"))
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	r := rootfs{}
	err := r.readTar(&b, func(name string) string {
		if strings.Contains(name, "doc") {
			return ""
		}
		return name
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(r)), " "); got != "etc/passwd usr/bin/link usr/bin/su usr/bin/sudo" {
		t.Errorf("got %s", got)
	}
	if su := r["usr/bin/su"]; su.mode != 0o755 || su.uid != 0 || string(su.data) != "data" || string(r["usr/bin/sudo"].data) != "data" {
		t.Errorf("got %+v", su)
	}
}

func TestRootfs_ReadTarOfATruncatedStream(t *testing.T) {
	r := rootfs{}
	r.file("a", 0o644, bytes.Repeat([]byte("x"), 4096))
	if err := (rootfs{}).readTar(bytes.NewReader(tarOf(t, r)[:2000]), func(name string) string { return name }); err == nil {
		t.Error("a stream that ends in the middle counts as complete")
	}
}

// small is an image of two layers.
func small() image {
	one, two := rootfs{}, rootfs{}
	one.file("etc/passwd", 0o644, []byte("root"))
	two.file("api", 0o755, []byte("program"))
	return image{ref: "x/api:dev", arch: "arm64", layers: []rootfs{one, two}, config: config{User: "1:1", Entrypoint: []string{"/api"}}}
}

// built is an assembled image and its id.
type built struct {
	images.Archive
	id string
}

func mustBuild(t *testing.T, i image) built {
	t.Helper()
	archive, err := i.archive()
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := archive.Write(&stream); err != nil {
		t.Fatal(err)
	}
	_, files := listing(t, &stream)
	return built{archive, "sha256:" + strings.TrimSuffix(configOf(files), ".json")}
}

// configOf returns the name of the configuration in an archive.
func configOf(files map[string]string) string {
	for name := range files {
		if strings.HasSuffix(name, ".json") && name != "manifest.json" {
			return name
		}
	}
	return ""
}

func TestArchive_IsComplete(t *testing.T) {
	b := mustBuild(t, small())
	var stream bytes.Buffer
	if err := b.Write(&stream); err != nil {
		t.Fatal(err)
	}
	_, files := listing(t, &stream)
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &list); err != nil || len(list) != 1 {
		t.Fatalf("manifest.json: %v in %q", err, files["manifest.json"])
	}
	if list[0].Config != strings.TrimPrefix(b.id, "sha256:")+".json" || digest([]byte(files[list[0].Config])) != strings.TrimPrefix(b.id, "sha256:") {
		t.Errorf("the configuration %s does not have its digest", list[0].Config)
	}
	var doc document
	if err := json.Unmarshal([]byte(files[list[0].Config]), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OS != "linux" || doc.Architecture != "arm64" || doc.Config.User != "1:1" || doc.Config.Labels[docker.LabelBuild] != b.Digest || len(doc.History) != 2 {
		t.Errorf("configuration: %+v", doc)
	}
	size := 0
	for i, layer := range list[0].Layers {
		size += len(files[layer])
		if doc.RootFS.DiffIDs[i] != "sha256:"+digest([]byte(files[layer])) {
			t.Errorf("layer %s does not have its digest", layer)
		}
	}
	if list[0].RepoTags[0] != "x/api:dev" || b.Size != int64(size) {
		t.Errorf("tags %v, size %d of %d", list[0].RepoTags, b.Size, size)
	}
}

func TestImage_BuildIsReproducible(t *testing.T) {
	base := mustBuild(t, small())
	if again := mustBuild(t, small()); again.id != base.id || again.Digest != base.Digest {
		t.Error("two builds differ")
	}
	for name, change := range map[string]func(*image){
		"content":      func(i *image) { i.layers[1].file("api", 0o755, []byte("other")) },
		"mode":         func(i *image) { i.layers[1].file("api", 0o700, []byte("program")) },
		"user":         func(i *image) { i.config.User = "2:2" },
		"architecture": func(i *image) { i.arch = "amd64" },
		"label":        func(i *image) { i.config.Labels = map[string]string{"a": "b"} },
	} {
		i := small()
		change(&i)
		if b := mustBuild(t, i); b.Digest == base.Digest || b.id == base.id {
			t.Errorf("another %s gives the same image", name)
		}
	}
	i := small()
	i.ref = "x/other:dev"
	if b := mustBuild(t, i); b.Digest != base.Digest {
		t.Error("the name is part of the digest")
	}
}
