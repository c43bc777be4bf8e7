//go:build unix

package compose

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/tools"
)

const testMod = "module m\n\ngo 1.26.3\n\nrequire (\n\tgithub.com/docker/compose/v5 v5.5.1 // indirect\n)\n"

// finder returns a Finder that sees stand-ins only.
func finder(p programs, talk fault.Progress, cache string) Finder {
	return Finder{
		Progress: talk, LookPath: p.lookPath, CacheDir: cache,
		LookupEnv: func(name string) (string, bool) { return "inherited " + name, name == "HOME" || name == "GOPROXY" },
		Pin:       func() (string, string, string) { return testMod, "sums\n", "github.com/docker/compose/v5/cmd" },
	}
}

func TestFindTakesTheFirstThatIsNewEnough(t *testing.T) {
	for _, test := range []struct {
		name       string
		docker     *behaviour
		standalone *behaviour
		found      string // the program and what comes before Compose's own arguments
		version    string
		said       string
	}{
		{"plugin", &behaviour{Version: "2.40.3"}, &behaviour{Version: "v5.1.0"}, "docker compose", "2.40.3", ""},
		{"plugin with a v", &behaviour{Version: "v2.26.1-desktop.1"}, nil, "docker compose", "2.26.1-desktop.1", ""},
		{"no plugin, new standalone", &behaviour{}, &behaviour{Version: "5.5.1"}, "docker-compose", "5.5.1", ""},
		{"no docker at all", nil, &behaviour{Version: "2.0.0"}, "docker-compose", "2.0.0", ""},
		{"old standalone", &behaviour{}, &behaviour{Version: "1.29.2"}, "built", "5.5.1", "docker-compose 1.29.2 is too old"},
		{"old plugin", &behaviour{Version: "1.0.0"}, nil, "built", "5.5.1", "docker compose 1.0.0 is too old"},
		{"standalone that fails", nil, &behaviour{}, "built", "5.5.1", "building compose 5.5.1"},
		{"nothing", nil, nil, "built", "5.5.1", "building compose 5.5.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, talk := newPrograms(t), &recorder{}
			if test.docker != nil {
				p.add("docker", *test.docker)
			}
			if test.standalone != nil {
				p.add("docker-compose", *test.standalone)
			}
			f := finder(p, talk, t.TempDir())
			binary := prebuilt(t, f, behaviour{Version: "5.5.1"})
			p.add("go", behaviour{Builds: true})
			tool, err := f.Find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found := strings.Join(append([]string{strings.TrimSuffix(filepath.Base(tool.Path), ".exe")}, tool.Prefix...), " ")
			if tool.Path == binary {
				found = "built"
			}
			if found != test.found || tool.Version != test.version {
				t.Errorf("got %s %s, want %s %s", found, tool.Version, test.found, test.version)
			}
			if !strings.Contains(talk.text(), test.said) {
				t.Errorf("said %q, which lacks %q", talk.text(), test.said)
			}
		})
	}
}

// prebuilt writes the behaviour of the binary that a build in f's cache makes.
func prebuilt(t *testing.T, f Finder, b behaviour) (binary string) {
	t.Helper()
	mod, sum, _ := f.Pin()
	place := filepath.Join(f.CacheDir, cacheKey("5.5.1", mod, sum))
	if err := os.MkdirAll(place, 0o700); err != nil {
		t.Fatal(err)
	}
	programs{t, place}.add("docker-compose", b)
	if err := os.Remove(filepath.Join(place, "docker-compose")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(place, "docker-compose")
}

func TestBuildHappensOnceAndIsKept(t *testing.T) {
	p, talk := newPrograms(t), &recorder{}
	p.add("go", behaviour{Builds: true})
	f := finder(p, talk, t.TempDir())
	binary := prebuilt(t, f, behaviour{Version: "5.5.1"})
	for range 2 {
		tool, err := f.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if tool.Path != binary || len(tool.Prefix) != 0 {
			t.Errorf("got %s %v, want %s", tool.Path, tool.Prefix, binary)
		}
	}
	calls := p.calls("go")
	if len(calls) != 1 {
		t.Fatalf("go ran %d times, want once", len(calls))
	}
	args := strings.Join(calls[0].Args, " ")
	for _, want := range []string{"-mod=readonly", "-trimpath", "-X github.com/docker/compose/v5/internal.Version=v5.5.1", "github.com/docker/compose/v5/cmd"} {
		if !strings.Contains(args, want) {
			t.Errorf("go was given %q, which lacks %q", args, want)
		}
	}
	if calls[0].Read["go.mod"] != testMod {
		t.Errorf("go saw the module file %q", calls[0].Read["go.mod"])
	}
	env := strings.Join(calls[0].Env, "\n")
	if !strings.Contains(env, "GOPROXY=inherited GOPROXY") || !strings.Contains(env, "GOWORK=off") || !strings.Contains(env, "CGO_ENABLED=0") {
		t.Errorf("go's environment lacks something: %s", env)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(binary), "build-*")); err != nil || len(left) != 0 {
		t.Errorf("the build left %v", left)
	}
	if said := strings.Count(talk.text(), "building compose"); said != 1 {
		t.Errorf("said %d times that it builds", said)
	}
}

func TestBuildsAtTheSameTimeMakeOneBinary(t *testing.T) {
	p := newPrograms(t)
	p.add("go", behaviour{Builds: true, Slow: 300 * time.Millisecond})
	cache := t.TempDir()
	prebuilt(t, finder(p, nil, cache), behaviour{Version: "5.5.1"})
	var wait sync.WaitGroup
	for range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if _, err := finder(p, nil, cache).Find(t.Context()); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	if n := len(p.calls("go")); n != 1 {
		t.Errorf("go ran %d times, want once", n)
	}
}

func TestBuildReplacesABrokenBinaryAndRemovesLeftovers(t *testing.T) {
	p := newPrograms(t)
	p.add("go", behaviour{Builds: true})
	f := finder(p, nil, t.TempDir())
	binary := prebuilt(t, f, behaviour{Version: "5.5.1"})
	if err := os.WriteFile(binary, []byte("torn"), 0o700); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(filepath.Dir(binary), "build-killed")
	if err := os.Mkdir(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a killed build is still there: %v", err)
	}
}

func TestFindFailures(t *testing.T) {
	for _, test := range []struct {
		name  string
		goAs  *behaviour
		build behaviour
		pin   string
		want  []string
	}{
		{"no go", nil, behaviour{}, testMod, []string{"no go to build one", "install the docker compose plugin"}},
		{"go too old", &behaviour{Code: 1, Stderr: []string{"go: downloading x v1", "go: go.mod requires go >= 1.26.3 (running go 1.25.0; GOTOOLCHAIN=local)"}}, behaviour{}, testMod, []string{"requires go >= 1.26.3", "install the docker compose plugin"}},
		{"proxy with a password", &behaviour{Code: 1, Stderr: []string{`go: reading https://joe:hunter2@proxy.example/mod: 403`}}, behaviour{}, testMod, []string{"https://proxy.example/mod"}},
		{"built one does not run", &behaviour{Builds: true}, behaviour{}, testMod, []string{"does not run"}},
		{"built one is another version", &behaviour{Builds: true}, behaviour{Version: "5.5.0"}, testMod, []string{"does not run"}},
		{"no version pinned", &behaviour{Builds: true}, behaviour{}, "module m\n", []string{"names no version"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPrograms(t)
			if test.goAs != nil {
				p.add("go", *test.goAs)
			}
			f := finder(p, nil, t.TempDir())
			f.Pin = func() (string, string, string) { return test.pin, "", "github.com/docker/compose/v5/cmd" }
			prebuilt(t, f, test.build)
			_, err := f.Find(t.Context())
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != fault.Failed || e.Next == "" {
				t.Fatalf("got %v, want a failure with a way out", err)
			}
			all := e.What + " | " + e.Next
			for _, want := range test.want {
				if !strings.Contains(all, want) {
					t.Errorf("%q lacks %q", all, want)
				}
			}
			if strings.Contains(all, "hunter2") {
				t.Errorf("the error shows a proxy's password")
			}
		})
	}
}

func TestFindEndsWithItsContext(t *testing.T) {
	p := newPrograms(t)
	p.add("go", behaviour{Hang: "interruptible"})
	f := finder(p, nil, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := f.Find(ctx); done <- err }()
	waitFor(t, "the build to begin", func() bool { _, err := os.Stat(filepath.Join(p.dir, "go.ready")); return err == nil })
	cancel()
	begun := time.Now()
	err := <-done
	if fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v, want interrupted", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("took %s to stop", took)
	}
}

// waitFor polls for a condition.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if ok() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestPinnedFilesAreWhole(t *testing.T) {
	mod, sum := tools.ComposeMod(), tools.ComposeSum()
	version := pinnedVersion(mod)
	if version == "" || !strings.Contains(sum, "github.com/docker/compose/v5 v"+version+" h1:") {
		t.Errorf("version %q has no checksum", version)
	}
	if !strings.Contains(mod, "\ntool "+tools.ComposePackage+"\n") {
		t.Error("compose.mod does not name the tool")
	}
	if strings.Contains(mod, "toolchain") || strings.Contains(mod, "replace") {
		t.Error("compose.mod has a toolchain or replace line")
	}
}

func TestPinnedVersion(t *testing.T) {
	for mod, want := range map[string]string{
		"require github.com/docker/compose/v5 v5.6.0\n":                                            "5.6.0",
		"require (\n\tgithub.com/docker/compose/v2 v2.40.3 // indirect\n)":                         "2.40.3",
		"tool github.com/docker/compose/v5/cmd\n":                                                  "",
		"require (\n\tgithub.com/docker/compose-on-kubernetes v1.0.0\n)":                           "",
		"require (\n\tgithub.com/docker/cli v1.0.0\n\tgithub.com/docker/compose/v5 v5.5.1-rc.1\n)": "5.5.1-rc.1",
	} {
		if got := pinnedVersion(mod); got != want {
			t.Errorf("%q gives %q, want %q", mod, got, want)
		}
	}
}

func TestCacheKeyTellsPinsApart(t *testing.T) {
	one, two := cacheKey("1", "mod", "sum"), cacheKey("1", "mods", "um")
	if one == two || cacheKey("1", "mod", "sum") != one || cacheKey("2", "mod", "sum") == one {
		t.Errorf("keys: %s %s", one, two)
	}
}
