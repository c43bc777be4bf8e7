package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// module writes a module with two services and the probe.
func module(t *testing.T, service string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                            "module example.org/m\n\ngo 1.25\n",
		"services/api/main.go":              service,
		"services/worker/main.go":           "package main\n\nfunc main() {}\n",
		"internal/imagebuild/probe/main.go": "package main\n\nfunc main() {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const emptyService = "package main\n\nfunc main() {}\n"

// roots writes a file of certificates.
func roots(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const certificate = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n"

func maker(t *testing.T, dir string) Maker {
	t.Helper()
	return Maker{Dir: dir, CacheDir: t.TempDir(), RootFiles: []string{filepath.Join(dir, "absent"), roots(t, certificate)}}
}

// refs are the two services.
func refs() map[string]string {
	return map[string]string{"worker": "x/worker:dev", "api": "x/api:dev"}
}

func TestServices_AreReproducible(t *testing.T) {
	var digests [2]string
	for i := range digests {
		archives, err := maker(t, module(t, emptyService)).Services(t.Context(), runtime.GOARCH, refs())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range archives {
			names = append(names, a.Ref)
			digests[i] += a.Digest + " "
		}
		if got := strings.Join(names, " "); got != images.ProbeImage+" x/api:dev x/worker:dev" {
			t.Errorf("got %s", got)
		}
	}
	if digests[0] != digests[1] {
		t.Error("two directories and two caches give different images")
	}
	other, err := maker(t, module(t, "package main\n\nfunc main() { println(1) }\n")).Services(t.Context(), runtime.GOARCH, refs())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(digests[0])
	if other[0].Digest != want[0] || other[1].Digest == want[1] || other[2].Digest != want[2] {
		t.Error("other images than that of the changed service differ")
	}
}

func TestServiceImage_HasOnlyTheProgram(t *testing.T) {
	i := serviceImage("x/api:dev", "amd64", "api", serviceBase([]byte(certificate)), []byte("program"))
	if i.config.User != "65532:65532" || i.config.Entrypoint[0] != "/api" || len(i.config.Entrypoint) != 1 {
		t.Errorf("config %+v", i.config)
	}
	all := rootfs{}
	for _, layer := range i.layers {
		for name, e := range layer {
			all[name] = e
		}
	}
	if got := strings.Join(slices.Sorted(maps.Keys(all)), " "); got != "api etc/group etc/passwd etc/ssl/certs/ca-certificates.crt tmp" {
		t.Errorf("files: %s", got)
	}
	if !strings.Contains(string(all["etc/passwd"].data), ":65532:65532:") || string(all[caPath].data) != certificate || all["tmp"].mode != 0o1777 {
		t.Error("users, authorities or /tmp are wrong")
	}
}

func TestServices_Failures(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Maker)
		class  fault.Code
		want   string
	}{
		{"no sources", func(m *Maker) { m.Dir = m.CacheDir }, fault.Invalid, "services/api: the source of its image is not here"},
		{"no go", func(m *Maker) { m.LookPath = func(string) (string, error) { return "", exec.ErrNotFound } }, fault.Failed, "there is no go on this machine"},
		{"does not compile", func(m *Maker) {
			_ = os.WriteFile(filepath.Join(m.Dir, "services", "api", "main.go"), []byte("package main\n\nfunc main() { undefinedName() }\n"), 0o644)
		}, fault.Failed, "undefined: undefinedName"},
		{"not a program", func(m *Maker) {
			_ = os.WriteFile(filepath.Join(m.Dir, "services", "api", "main.go"), []byte("package api\n"), 0o644)
		}, fault.Failed, "services/api is not a program"},
		{"no authorities", func(m *Maker) { m.RootFiles = []string{filepath.Join(m.Dir, "absent")} }, fault.Failed, "has no certificate authorities"},
		{"a private key among them", func(m *Maker) {
			m.RootFiles = []string{roots(t, certificate+"-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n")}
		}, fault.Failed, "is not a list of certificates"},
		{"no PEM", func(m *Maker) { m.RootFiles = []string{roots(t, "hello")} }, fault.Failed, "is not a list of certificates"},
		{"a directory in their place", func(m *Maker) { m.RootFiles = []string{m.Dir} }, fault.Failed, "cannot be read"},
		{"a cache that is a file", func(m *Maker) { m.CacheDir = m.RootFiles[1] }, fault.Failed, "no writable cache directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := maker(t, module(t, emptyService))
			test.change(&m)
			_, err := m.Services(t.Context(), "amd64", refs())
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != test.class || e.Next == "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestServices_EndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := maker(t, module(t, emptyService)).Services(ctx, "amd64", refs())
	if fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestRoots_FromTheEnvironment(t *testing.T) {
	named := roots(t, "# ours\n"+certificate)
	m := Maker{LookupEnv: func(name string) (string, bool) { return named, name == "SSL_CERT_FILE" }}
	data, err := m.roots()
	if err != nil || !bytes.Contains(data, []byte("# ours")) {
		t.Errorf("got %q, %v", data, err)
	}
}
