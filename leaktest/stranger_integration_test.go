//go:build integration

package leaktest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// strangerGo is the oldest Go that a user may have: the one that testcontainers
// requires.
const strangerGo = "go 1.25.0"

// strangerTest is a test in another project. The value comes from the output of
// its container, as with a database that generates a password at its first start.
// So this test does not have to pass a value to it.
const strangerTest = `package stranger

import (
	"crypto/rand"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/keepmum/keepmum/leaktest"
)

func start(t *testing.T) testcontainers.Container {
	c, err := testcontainers.Run(t.Context(), os.Getenv("STRANGER_IMAGE"), testcontainers.WithWaitStrategy(wait.ForExit().WithExitTimeout(time.Minute)))
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSilence(t *testing.T) {
	leaktest.RequireSilence(t, leaktest.Secrets{"PASSWORD": []byte(rand.Text())}, start(t))
}

func TestLeak(t *testing.T) {
	c := start(t)
	log, err := c.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	_, password, ok := strings.Cut(strings.TrimSpace(string(text)), "the password is ")
	if !ok {
		t.Fatal("the container does not print its password")
	}
	values := leaktest.Secrets{"PASSWORD": []byte(password)}
	t.Log("searched:", values)
	leaktest.RequireSilence(t, values, c)
}
`

// TestModuleFromProxy: another project gets this module from a module proxy,
// without this checkout. Its test passes on silence, fails on a leak, and does not
// show the value.
func TestModuleFromProxy(t *testing.T) {
	b := newBench(t)
	rootVersion, version := required(t), "v0.0.0-test."+strings.ToLower(rand.Text()[:8])
	if err := checkVersion(rootVersion, nil); err != nil {
		t.Fatalf("go.mod: %v", err) // Go would look for it on public proxies
	}
	dir := t.TempDir()
	proxy := filepath.Join(dir, "proxy")
	publish(t, proxy, root+"/leaktest", version, files(t, "."))
	publish(t, proxy, root, rootVersion, rootFiles(t, rootVersion))
	s := newStranger(t, dir, proxy, version)
	s.use(b.image("", "all is well\n", ""))
	if said, err := s.goes("test", "-trimpath", "-v", "-run", "TestSilence", "."); err != nil || !strings.Contains(said, "silence: 6 surfaces") || !strings.Contains(said, "--- PASS: TestSilence") {
		t.Fatalf("silence: %v\n%s", err, said)
	}
	value := rand.Text()
	s.use(b.image("", "the password is "+value+"\n", ""))
	said, err := s.goes("test", "-trimpath", "-v", "-run", "TestLeak", ".")
	search, failed := sweep.New([]secrets.Known{{Name: "PASSWORD", Value: secrets.New([]byte(value))}})
	if failed != nil {
		t.Fatal(failed)
	}
	seen := search.Run(t.Context(), sweep.Bytes("output", []byte(said))) // with a canary in it
	if seen.Err() != nil {
		t.Fatalf("the stranger's test leaks: %v", seen.Err())
	}
	if err == nil || !strings.Contains(said, " shows PASSWORD: raw, stdout, line 1") || !strings.Contains(said, "searched: leaktest.Secrets[PASSWORD]") || !strings.Contains(said, "--- FAIL: TestLeak") {
		t.Errorf("a leak: %v\n%s", err, said)
	}
	s.isLight()
}

// rootFiles returns the files of the main module at the required commit, which are
// those that a user gets. If the commit is not here, as in a shallow clone, it
// returns those of the checkout.
func rootFiles(t *testing.T, version string) map[string][]byte {
	t.Helper()
	commit := pseudo.FindStringSubmatch(version)[2]
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "archive", "--format=tar", commit).Output()
	if err != nil {
		t.Logf("commit %s is not here: the main module is taken from the checkout", commit)
		return files(t, "..")
	}
	all := map[string][]byte{}
	archive := tar.NewReader(bytes.NewReader(out))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return outerModule(all)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if all[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the files of a module in the checkout.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(path.Base(name), ".") || name == "secrets" || name == "bin"):
			return fs.SkipDir // not part of the module: may hold values
		case !entry.Type().IsRegular() || strings.HasPrefix(path.Base(name), "."):
			return nil
		}
		all[name], err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return outerModule(all)
}

// outerModule drops the files of nested modules.
func outerModule(all map[string][]byte) map[string][]byte {
	outer := map[string][]byte{}
	for name, data := range all {
		inner := false
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			_, ok := all[dir+"/go.mod"]
			inner = inner || ok
		}
		if !inner {
			outer[name] = data
		}
	}
	return outer
}

// publish writes a version of a module into a directory that serves as a module
// proxy (go help goproxy).
func publish(t *testing.T, proxy, module, version string, files map[string][]byte) {
	t.Helper()
	at := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	info, err := json.Marshal(map[string]string{"Version": version, "Time": "2026-01-02T03:04:05Z"})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for name, data := range files {
		entry, err := w.Create(module + "@" + version + "/" + name)
		if err == nil {
			_, err = entry.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": files["go.mod"], version + ".zip": packed.Bytes()} {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// stranger is the module of another project.
type stranger struct {
	t     *testing.T
	dir   string
	env   []string
	image string
}

// newStranger creates the module. It has a separate module cache, so that versions
// published here do not get into this user's cache. Other modules come from that
// cache, which is a proxy too.
func newStranger(t *testing.T, dir, proxy, version string) *stranger {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOPROXY", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	var here struct{ GOPROXY, GOMODCACHE string }
	if err := json.Unmarshal(out, &here); err != nil {
		t.Fatal(err)
	}
	local := func(dir string) string {
		return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")}).String()
	}
	proxies := strings.Join([]string{local(proxy), local(filepath.Join(here.GOMODCACHE, "cache", "download")), here.GOPROXY}, ",")
	s := &stranger{t: t, dir: filepath.Join(dir, "stranger")}
	s.env = append(os.Environ(), "GOPROXY="+proxies, "GONOPROXY=none", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE="+filepath.Join(dir, "modcache"))
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": "module example.test/stranger\n\n" + strangerGo + "\n", "stranger_test.go": strangerTest} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Not go mod tidy: that needs the tests of docker's client too, and asks for
	// the latest versions of their dependencies.
	if said, err := s.goes("get", root+"/leaktest@"+version); err != nil {
		t.Fatalf("go get: %v\n%s", err, said)
	}
	return s
}

// use sets the image of the test's container.
func (s *stranger) use(image string) { s.image = image }

// goes runs go in the module and returns its output.
func (s *stranger) goes(args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = s.dir, append(slices.Clip(s.env), "STRANGER_IMAGE="+s.image)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// isLight requires that leaktest links no module that testcontainers does not link,
// and asks for no newer Go.
func (s *stranger) isLight() {
	s.t.Helper()
	modules := func(pkg string) []string {
		out, err := s.goes("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg)
		if err != nil {
			s.t.Fatalf("go list: %v\n%s", err, out)
		}
		all := strings.Fields(out)
		slices.Sort(all)
		return slices.Compact(all)
	}
	theirs, ours := modules("github.com/testcontainers/testcontainers-go"), modules(root+"/leaktest")
	if len(theirs) < 10 || len(ours) < 10 {
		s.t.Fatalf("%d and %d modules: that is not all", len(theirs), len(ours))
	}
	for _, one := range ours {
		if !slices.Contains(theirs, one) && !strings.HasPrefix(one, root) {
			s.t.Errorf("a user gets %s, which testcontainers does not need", one)
		}
	}
	if mod, err := os.ReadFile(filepath.Join(s.dir, "go.mod")); err != nil || !bytes.Contains(mod, []byte("\n"+strangerGo+"\n")) {
		s.t.Errorf("the user's go.mod does not keep %q: %v\n%s", strangerGo, err, mod)
	}
	s.t.Logf("leaktest links %d modules, testcontainers %d", len(ours), len(theirs))
}
