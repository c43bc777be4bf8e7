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

// strangerGo is the oldest Go that a user may have: what testcontainers asks
// for.
const strangerGo = "go 1.25.0"

// strangerTest is a test of somebody else. Its container tells the value
// itself, as a database does that makes a password at its first start: so no
// value is handed over to the test.
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
		t.Fatal("the container does not tell its password")
	}
	values := leaktest.Secrets{"PASSWORD": []byte(password)}
	t.Log("searched:", values)
	leaktest.RequireSilence(t, values, c)
}
`

// TestAStrangerUsesThis: a module of somebody else gets this one from a module
// proxy, without this checkout, and its test passes on silence and fails on a
// leak, and does not tell the value.
func TestAStrangerUsesThis(t *testing.T) {
	b := newBench(t)
	rootVersion, version := required(t), "v0.0.0-test."+strings.ToLower(rand.Text()[:8])
	if err := checkVersion(rootVersion, nil); err != nil {
		t.Fatalf("go.mod: %v", err) // it would be looked for in public
	}
	dir := t.TempDir()
	proxy := filepath.Join(dir, "proxy")
	publish(t, proxy, root+"/leaktest", version, files(t, "."))
	publish(t, proxy, root, rootVersion, rootFiles(t, rootVersion))
	s := newStranger(t, dir, proxy, version)
	s.use(b.image("", output{1, "all is well\n"}))
	if said, err := s.goes("test", "-trimpath", "-v", "-run", "TestSilence", "."); err != nil || !strings.Contains(said, "silence: 6 surfaces") || !strings.Contains(said, "--- PASS: TestSilence") {
		t.Fatalf("silence: %v\n%s", err, said)
	}
	value := rand.Text()
	s.use(b.image("", output{1, "the password is " + value + "\n"}))
	said, err := s.goes("test", "-trimpath", "-v", "-run", "TestLeak", ".")
	search, failed := sweep.New([]secrets.Known{{Name: "PASSWORD", Value: secrets.New([]byte(value))}})
	if failed != nil {
		t.Fatal(failed)
	}
	seen := search.Run(t.Context(), sweep.Bytes("output", []byte(said))) // plants a canary in it
	if seen.Err() != nil {
		t.Fatalf("the stranger's test tells: %v", seen.Err())
	}
	if err == nil || !strings.Contains(said, " tells PASSWORD: raw, stdout, line 1") || !strings.Contains(said, "searched: leaktest.Secrets[PASSWORD]") || !strings.Contains(said, "--- FAIL: TestLeak") {
		t.Errorf("a leak: %v\n%s", err, said)
	}
	s.isLight()
}

// rootFiles are those of the root module at the commit that is required: what a
// user gets, whatever stands in this checkout by now. Where the commit is not
// here, as in a shallow clone, they are those of the checkout.
func rootFiles(t *testing.T, version string) map[string][]byte {
	t.Helper()
	commit := pseudo.FindStringSubmatch(version)[2]
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "archive", "--format=tar", commit).Output()
	if err != nil {
		t.Logf("commit %s is not here: the root module is taken from the checkout", commit)
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

// files are those of a module in the checkout.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(path.Base(name), ".") || name == "secrets" || name == "bin"):
			return fs.SkipDir // not of the module: values may stand there
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

// outerModule leaves out what lies in further modules.
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

// publish writes a version of a module into a directory that is a module proxy,
// as `go help goproxy` describes one.
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

// stranger is a module of somebody else.
type stranger struct {
	t     *testing.T
	dir   string
	env   []string
	image string
}

// newStranger makes the module. Its module cache is its own, for what is
// published here must not be found by anybody else under the version of a
// commit; other modules come out of this user's cache, which is a proxy too.
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
	// Not tidy: it wants the tests of docker's client too, and asks for the latest
	// of what those need.
	if said, err := s.goes("get", root+"/leaktest@"+version); err != nil {
		t.Fatalf("go get: %v\n%s", err, said)
	}
	return s
}

// use names the image of the test's container.
func (s *stranger) use(image string) { s.image = image }

// goes runs go in the module and returns all that it said.
func (s *stranger) goes(args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = s.dir, append(slices.Clip(s.env), "STRANGER_IMAGE="+s.image)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// heavy are the modules that the search brings along beyond testcontainers' own:
// ADR 12 says why.
var heavy = []string{
	"github.com/compose-spec/compose-go/v2", "github.com/go-viper/mapstructure/v2", "github.com/joho/godotenv", "github.com/mattn/go-shellwords",
	"github.com/santhosh-tekuri/jsonschema/v6", "github.com/xhit/go-str2duration/v2", "go.yaml.in/yaml/v4", "golang.org/x/sync", "golang.org/x/text",
}

// isLight requires that what the stranger's test is linked with is what
// testcontainers is linked with, packages of this project, and no further
// modules than are known; and that no newer Go is asked for.
func (s *stranger) isLight() {
	s.t.Helper()
	list := func(pkg string) (modules, packages []string) {
		out, err := s.goes("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{if not .Standard}}{{.ImportPath}}{{end}}", pkg)
		if err != nil {
			s.t.Fatalf("go list: %v\n%s", err, out)
		}
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			if module, path, ok := strings.Cut(line, " "); ok && module != "" {
				modules, packages = append(modules, module), append(packages, path)
			}
		}
		slices.Sort(modules)
		return slices.Compact(modules), packages
	}
	theirs, _ := list("github.com/testcontainers/testcontainers-go")
	modules, packages := list(root + "/leaktest")
	sums, err := os.ReadFile(filepath.Join(s.dir, "go.sum"))
	if err != nil {
		s.t.Fatal(err)
	}
	var further []string
	for _, one := range modules {
		if !slices.Contains(theirs, one) && !strings.HasPrefix(one, root) {
			further = append(further, one)
		}
	}
	for _, one := range further {
		if !slices.Contains(heavy, one) {
			s.t.Errorf("a user gets %s, which testcontainers does not need", one)
		}
	}
	if mod, err := os.ReadFile(filepath.Join(s.dir, "go.mod")); err != nil || !bytes.Contains(mod, []byte("\n"+strangerGo+"\n")) {
		s.t.Errorf("the user's go.mod does not keep %q: %v\n%s", strangerGo, err, mod)
	}
	s.t.Logf("%d lines of go.sum; %d packages of %d modules; beyond testcontainers': %v", bytes.Count(sums, []byte("\n")), len(packages), len(modules), further)
}
