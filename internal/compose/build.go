package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
)

const (
	buildDeadline = 20 * time.Minute // a minute on two cores, plus the download
	stillEvery    = 15 * time.Second
	installHint   = "install the docker compose plugin, version 2 or later, and run it again"
	againHint     = "run it again: what was built so far is kept"
)

// built returns the pinned Compose, from the cache or built now. Of several
// processes that need it at once, one builds and the others wait.
func (f Finder) built(ctx context.Context) (Tool, error) {
	mod, sum, _ := f.Pin()
	version := pinnedVersion(mod)
	if version == "" {
		return Tool{}, &fault.Error{Code: fault.Failed, What: "tools/compose.mod has no version of compose", Next: "restore tools/compose.mod from git"}
	}
	dir, err := proc.CacheDir(f.CacheDir, "compose")
	if err != nil {
		return Tool{}, err
	}
	place := filepath.Join(dir, cacheKey(version, mod, sum))
	binary := filepath.Join(place, program("docker-compose"))
	if f.answers(ctx, binary, version) {
		return f.tool(binary, nil, version, Built), nil
	}
	release, err := f.lock(ctx, place)
	if err != nil {
		return Tool{}, err
	}
	defer release()
	if f.answers(ctx, binary, version) {
		return f.tool(binary, nil, version, Built), nil
	}
	if err := f.build(ctx, place, binary, version); err != nil {
		return Tool{}, err
	}
	if !f.answers(ctx, binary, version) {
		if ctx.Err() != nil {
			return Tool{}, proc.Stopped(ctx, "building compose", againHint)
		}
		return Tool{}, &fault.Error{Code: fault.Failed, What: "the compose built in " + place + " does not run", Next: installHint}
	}
	return f.tool(binary, nil, version, Built), nil
}

// answers reports whether the program at path exists and is that version.
func (f Finder) answers(ctx context.Context, path, version string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	said, ok := f.ask(ctx, path, "version", "--short")
	return ok && said == version
}

// lock creates place and takes its lock, which ends with the process.
func (f Finder) lock(ctx context.Context, place string) (release func(), err error) {
	failed := func(err error) error {
		return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "set XDG_CACHE_HOME to a writable directory, or " + installHint, Cause: err}
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return nil, failed(err)
	}
	lock := flock.New(filepath.Join(place, "lock"))
	held, err := lock.TryLock()
	if err == nil && !held {
		f.Progress.Say("another run is building compose; waiting for it")
		held, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return nil, proc.Stopped(ctx, "building compose", againHint)
	}
	if err != nil || !held {
		return nil, failed(err)
	}
	return func() { _ = lock.Close() }, nil
}

// build builds the pinned Compose in place and renames it to binary.
func (f Finder) build(ctx context.Context, place, binary, version string) error {
	goTool, err := f.LookPath("go")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "docker compose 2 or later is not installed, and neither is go to build it", Next: installHint}
	}
	for _, left := range leftovers(place) {
		_ = os.RemoveAll(left) // of a killed run: we hold the lock, so it is not in use
	}
	work, err := os.MkdirTemp(place, "build-")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "set XDG_CACHE_HOME to a writable directory", Cause: err}
	}
	defer os.RemoveAll(work)
	mod, sum, path := f.Pin()
	for name, text := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "free some space there, or " + installHint, Cause: err}
		}
	}
	f.Progress.Say("docker compose 2 or later is not installed: building compose %s once (a minute or two; kept in %s)", version, place)
	begun := time.Now()
	if err := f.goBuild(ctx, goTool, work, path, version); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, "built"), binary); err != nil {
		return &fault.Error{Code: fault.Failed, What: "the built compose cannot be moved to " + binary, Next: "remove " + place + " and run it again", Cause: err}
	}
	f.Progress.Say("compose %s built in %s", version, time.Since(begun).Round(time.Second))
	return nil
}

// leftovers lists the working directories in place.
func leftovers(place string) []string {
	found, err := filepath.Glob(filepath.Join(place, "build-*"))
	if err != nil {
		return nil
	}
	return found
}

// goBuild runs go build in the directory work, for this machine.
func (f Finder) goBuild(ctx context.Context, goTool, work, path, version string) error {
	ctx, cancel := context.WithTimeout(ctx, buildDeadline)
	defer cancel()
	defer f.stillBuilding()()
	env := proc.Inherit(f.LookupEnv, proc.GoNames())
	env["GOOS"], env["GOARCH"], env["CGO_ENABLED"], env["GOWORK"] = runtime.GOOS, runtime.GOARCH, "0", "off"
	lines := &proc.Lines{}
	module := strings.TrimSuffix(path, "/cmd")
	err := proc.Command{
		Path: goTool, Dir: work, Env: env, Out: lines, ErrOut: lines,
		Args: []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X " + module + "/internal.Version=v" + version, "-o", "built", path},
	}.Run(ctx)
	lines.Flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return proc.Stopped(ctx, "building compose", againHint)
	}
	return &fault.Error{Code: fault.Failed, What: "compose could not be built: " + proc.WithoutPasswords(buildProblem(lines.All())), Next: installHint}
}

// stillBuilding reports from time to time that the build goes on, until stop is
// called.
func (f Finder) stillBuilding() (stop func()) {
	begun, ticker, done, ended := time.Now(), time.NewTicker(stillEvery), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				f.Progress.Say("still building compose (%s)", time.Since(begun).Round(time.Second))
			}
		}
	}()
	return func() { ticker.Stop(); close(done); <-ended }
}

// buildProblem returns the line that says why go build failed: the first that is
// not about a download.
func buildProblem(lines []string) string {
	for _, line := range lines {
		if !strings.HasPrefix(line, "go: downloading ") && !strings.HasPrefix(line, "# ") {
			return line
		}
	}
	return "go build printed nothing"
}

// pinnedVersion returns the version of Compose that a module file requires,
// without the v.
func pinnedVersion(mod string) string {
	found := regexp.MustCompile(`(?m)^\s*(?:require\s+)?github\.com/docker/compose/v\d+ v(\S+)`).FindStringSubmatch(mod)
	if found == nil {
		return ""
	}
	return found[1]
}

// cacheKey returns the name of a build's directory: version, system, and a digest
// of the pinned files.
func cacheKey(version, mod, sum string) string {
	digest := sha256.Sum256([]byte(mod + "\x00" + sum))
	return strings.Join([]string{"v" + version, runtime.GOOS, runtime.GOARCH, hex.EncodeToString(digest[:6])}, "-")
}

// program returns the file name of a program on this system.
func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
