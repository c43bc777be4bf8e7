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
	buildDeadline = 20 * time.Minute // a minute on two cores, and the download before it
	stillEvery    = 15 * time.Second
	installHint   = "install the docker compose plugin, version 2 or later, and run it again"
)

// built returns the pinned Compose, from the cache or built now. Of several
// processes that want it at once one builds and the others wait.
func (f Finder) built(ctx context.Context) (Tool, error) {
	mod, sum, _ := f.Pin()
	version := pinnedVersion(mod)
	if version == "" {
		return Tool{}, &fault.Error{Code: fault.Failed, What: "tools/compose.mod names no version of compose", Next: "restore tools/compose.mod from git"}
	}
	dir, err := f.cacheDir()
	if err != nil {
		return Tool{}, err
	}
	place := filepath.Join(dir, cacheKey(version, mod, sum))
	binary := filepath.Join(place, program("docker-compose"))
	if f.answers(ctx, binary, version) {
		return f.tool(binary, nil, version), nil
	}
	release, err := f.lock(ctx, place)
	if err != nil {
		return Tool{}, err
	}
	defer release()
	if f.answers(ctx, binary, version) {
		return f.tool(binary, nil, version), nil
	}
	if err := f.build(ctx, place, binary, version); err != nil {
		return Tool{}, err
	}
	if !f.answers(ctx, binary, version) {
		if ctx.Err() != nil {
			return Tool{}, stopped(ctx)
		}
		return Tool{}, &fault.Error{Code: fault.Failed, What: "the compose that was built in " + place + " does not run", Next: installHint}
	}
	return f.tool(binary, nil, version), nil
}

// answers reports whether the program at path is there and is that version.
func (f Finder) answers(ctx context.Context, path, version string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	said, ok := f.ask(ctx, path, "version", "--short")
	return ok && said == version
}

// cacheDir returns the directory for what is built.
func (f Finder) cacheDir() (string, error) {
	if f.CacheDir != "" {
		return f.CacheDir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &fault.Error{Code: fault.Failed, What: "there is no cache directory to build compose in", Next: "set HOME (or XDG_CACHE_HOME), or " + installHint, Cause: err}
	}
	return filepath.Join(cache, "keepmum", "compose"), nil
}

// lock makes place and takes its lock, which ends with the process.
func (f Finder) lock(ctx context.Context, place string) (release func(), err error) {
	failed := func(err error) error {
		return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "set XDG_CACHE_HOME to a directory that can be written, or " + installHint, Cause: err}
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return nil, failed(err)
	}
	lock := flock.New(filepath.Join(place, "lock"))
	held, err := lock.TryLock()
	if err == nil && !held {
		f.Progress.Say("another run builds compose; waiting for it")
		held, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return nil, stopped(ctx)
	}
	if err != nil || !held {
		return nil, failed(err)
	}
	return func() { _ = lock.Close() }, nil
}

// build builds the pinned Compose next to its place and moves it there whole.
func (f Finder) build(ctx context.Context, place, binary, version string) error {
	goTool, err := f.LookPath("go")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "there is no docker compose of version 2 or later, and no go to build one", Next: installHint}
	}
	leftovers, _ := filepath.Glob(filepath.Join(place, "build-*")) // no error: the pattern is valid
	for _, left := range leftovers {
		_ = os.RemoveAll(left) // of a run that was killed; no other run works in it: we have the lock
	}
	work, err := os.MkdirTemp(place, "build-")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "set XDG_CACHE_HOME to a directory that can be written", Cause: err}
	}
	defer os.RemoveAll(work)
	mod, sum, path := f.Pin()
	for name, text := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return &fault.Error{Code: fault.Failed, What: "compose cannot be built in " + place, Next: "free some space there, or " + installHint, Cause: err}
		}
	}
	f.Progress.Say("there is no docker compose of version 2 or later: building compose %s once (a minute or two; it is kept in %s)", version, place)
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
		return stopped(ctx)
	}
	return &fault.Error{Code: fault.Failed, What: "compose could not be built: " + withoutPasswords(buildProblem(lines.All())), Next: installHint}
}

// stillBuilding says from time to time that the build goes on, until the
// returned function is called.
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

// buildProblem picks the line that says why go build failed: the first that is
// not about a download.
func buildProblem(lines []string) string {
	for _, line := range lines {
		if !strings.HasPrefix(line, "go: downloading ") && !strings.HasPrefix(line, "# ") {
			return line
		}
	}
	return "go build said nothing"
}

// withoutPasswords takes user and password out of the URLs in a line: a module
// proxy's address may hold them.
func withoutPasswords(line string) string {
	return regexp.MustCompile(`://[^/@\s]+@`).ReplaceAllString(line, "://")
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

// cacheKey names the directory of one build: version, system, and a digest of
// what was pinned.
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
