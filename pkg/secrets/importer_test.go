package secrets_test

import (
	"archive/zip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const module, version = "github.com/keepmum/keepmum", "v0.0.1"

const importerMain = `package main

import (
	"fmt"
	"os"

	"github.com/keepmum/keepmum/pkg/secrets"
)

func main() {
	var config struct {
		A secrets.Secret ` + "`secret:\"A\"`" + `
	}
	_, err := secrets.Load(&config)
	fmt.Println(config, err != nil, os.Getenv("A") == config.A.RevealString())
}
`

// TestImporterNeedsNoOtherModule builds a module that imports this package as a
// user would, from a module proxy that serves only keepmum. Its packages are
// those of the standard library and keepmum, and its go.sum names only keepmum.
func TestImporterNeedsNoOtherModule(t *testing.T) {
	dir := t.TempDir()
	proxy := filepath.Join(dir, "proxy")
	publish(t, proxy, false)
	user := importer(t, dir, proxy)

	user.run("mod", "edit", "-require="+module+"@"+version)
	user.run("build", "-o", "program", ".")
	if out := user.command("./program").output(); out != "{‹secret›} false true\n" {
		t.Errorf("the program says %q", out)
	}
	deps := strings.Fields(user.run("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "."))
	if bad := foreign(deps); len(bad) > 0 || len(deps) < 2 {
		t.Errorf("the importer's packages are %v", deps)
	}
	sums := lines(t, filepath.Join(user.dir, "go.sum"))
	if bad := foreign(sums); len(bad) > 0 || len(sums) != 2 {
		t.Errorf("go.sum holds %v", sums)
	}
}

// TestImporterCheckFindsALibrary publishes a keepmum whose package secrets imports a
// library: the same importer must then fail, or the test above proves nothing.
func TestImporterCheckFindsALibrary(t *testing.T) {
	dir := t.TempDir()
	proxy := filepath.Join(dir, "proxy")
	publish(t, proxy, true)
	user := importer(t, dir, proxy)
	user.run("mod", "edit", "-require="+module+"@"+version)
	cmd := user.command("go", "build", "-o", "program", ".")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "github.com/google/go-cmp") {
		t.Errorf("the build does not fail because of the library: %v\n%s", err, out)
	}
	bad := foreign([]string{module, module + "/pkg/secrets", "example.test/user", "golang.org/x/sys/unix"})
	if len(bad) != 1 || bad[0] != "golang.org/x/sys/unix" {
		t.Errorf("foreign returns %v", bad)
	}
}

// foreign returns the lines that belong neither to the importer nor to keepmum;
// each line begins with the path of a package or module.
func foreign(all []string) []string {
	var bad []string
	for _, one := range all {
		path, _, _ := strings.Cut(one, " ")
		if path != "example.test/user" && path != module && !strings.HasPrefix(path, module+"/") {
			bad = append(bad, one)
		}
	}
	return bad
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// publish writes a module proxy that serves only this package and the go.mod of
// this checkout.
func publish(t *testing.T, proxy string, broken bool) {
	t.Helper()
	at := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]string{"Version": version, "Time": "2026-11-23T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": goMod}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources := map[string][]byte{"go.mod": goMod}
	for _, dir := range []string{".", "secretstest"} {
		for _, name := range glob(t, filepath.Join(dir, "*.go")) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources["pkg/secrets/"+filepath.ToSlash(name)] = data
		}
	}
	if broken {
		sources["pkg/secrets/broken.go"] = []byte("package secrets\n\nimport _ \"github.com/google/go-cmp/cmp\"\n")
	}
	writeZip(t, filepath.Join(at, version+".zip"), sources)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return names
}

func writeZip(t *testing.T, path string, files map[string][]byte) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
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
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// user is another module, which imports this package.
type user struct {
	t   *testing.T
	dir string
	env []string
}

// command is a child process in the importer's module, with a separate module
// cache.
type command struct {
	*exec.Cmd
	t *testing.T
}

func importer(t *testing.T, dir, proxy string) user {
	t.Helper()
	u := user{t: t, dir: filepath.Join(dir, "user")}
	if err := os.Mkdir(u.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	slash := filepath.ToSlash(proxy)
	if runtime.GOOS == "windows" {
		slash = "/" + slash
	}
	u.env = append(os.Environ(), "GOPROXY=file://"+slash, "GOSUMDB=off", "GONOPROXY=", "GOPRIVATE=", "GOFLAGS=-mod=mod -modcacherw",
		"GOMODCACHE="+filepath.Join(dir, "modcache"), "GOWORK=off", "GOTOOLCHAIN=local", "A=canary", "A_FILE=", "KEEPMUM_ENV=")
	for name, data := range map[string]string{"go.mod": "module example.test/user\n\ngo 1.25.0\n", "main.go": importerMain} {
		if err := os.WriteFile(filepath.Join(u.dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func (u user) command(name string, args ...string) command {
	cmd := exec.CommandContext(u.t.Context(), name, args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	return command{cmd, u.t}
}

// run runs go and returns its standard output.
func (u user) run(args ...string) string {
	u.t.Helper()
	return u.command("go", args...).output()
}

func (c command) output() string {
	c.t.Helper()
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		c.t.Fatalf("%v: %v\n%s", c.Args, err, stderr.String())
	}
	return string(out)
}
