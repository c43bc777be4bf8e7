package imagebuild

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/proc"
)

const (
	aptDeadline   = 10 * time.Minute
	listsFresh    = 24 * time.Hour // how long downloaded package lists are used
	ownImage      = "set KEEPMUM_POSTGRES_IMAGE to an image of Postgres 15 or newer that this engine has or can pull"
	leastPostgres = 15
)

// apt runs Debian's package tools over a separate state.
type apt struct {
	maker Maker
	arch  string // in Debian's words
	state string // directory
	tools map[string]string
}

// apt returns the package tools for an architecture in Go's words.
func (m Maker) apt(arch string) (apt, error) {
	a := apt{maker: m, tools: map[string]string{}}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		path, err := m.LookPath(tool)
		if err != nil {
			return apt{}, &fault.Error{Code: fault.Failed, What: "no image registry answers, and this system has no " + tool + " to build an image of Postgres with", Next: ownImage}
		}
		a.tools[tool] = path
	}
	names := map[string]string{"amd64": "amd64", "arm64": "arm64", "arm": "armhf", "386": "i386", "ppc64le": "ppc64el", "s390x": "s390x", "riscv64": "riscv64"}
	if a.arch = names[arch]; a.arch == "" {
		return apt{}, &fault.Error{Code: fault.Failed, What: "there are no Debian packages for the engine's architecture " + arch, Next: ownImage}
	}
	dir, err := proc.CacheDir(m.CacheDir)
	if err != nil {
		return apt{}, err
	}
	a.state = filepath.Join(dir, "apt", a.arch)
	return a, a.prepare()
}

// fresh returns the package tools with fresh package lists.
func (m Maker) fresh(ctx context.Context, arch string) (apt, error) {
	a, err := m.apt(arch)
	if err != nil {
		return a, err
	}
	return a, a.refresh(ctx)
}

// prepare makes the state: empty lists, no installed package.
func (a apt) prepare() error {
	for _, dir := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.state, dir), 0o755); err != nil {
			return proc.NoCache(a.state, err)
		}
	}
	for name, text := range map[string]string{"status": "", "apt.conf": a.settings()} {
		if err := os.WriteFile(filepath.Join(a.state, name), []byte(text), 0o644); err != nil {
			return proc.NoCache(a.state, err)
		}
	}
	return nil
}

// settings is apt's configuration in addition to the system's, which names
// sources, keys and proxies.
func (a apt) settings() string {
	var b strings.Builder
	for _, pair := range [][2]string{
		{"Dir::State", a.state}, {"Dir::State::status", filepath.Join(a.state, "status")}, {"Dir::State::lists", filepath.Join(a.state, "lists")},
		{"Dir::Cache", filepath.Join(a.state, "cache")}, {"APT::Architecture", a.arch}, {"APT::Install-Recommends", "false"}, {"APT::Sandbox::User", ""},
		{"APT::Update::Error-Mode", "any"}, {"Acquire::Languages", "none"}, {"Acquire::http::Timeout", "15"}, {"Acquire::https::Timeout", "15"}, {"Acquire::Retries", "1"},
	} {
		fmt.Fprintf(&b, "%s %q;\n", pair[0], pair[1])
	}
	fmt.Fprintf(&b, "#clear APT::Architectures;\nAPT::Architectures { %q; };\n", a.arch)
	return b.String()
}

// run runs one of the tools, with its standard output to out.
func (a apt) run(ctx context.Context, dir string, out io.Writer, tool string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, aptDeadline)
	defer cancel()
	env := proc.Inherit(a.maker.LookupEnv, append(proc.SystemNames(), proc.ProxyNames()...))
	env["LC_ALL"], env["APT_CONFIG"], env["DEBIAN_FRONTEND"] = "C.UTF-8", filepath.Join(a.state, "apt.conf"), "noninteractive"
	delete(env, "LANG")
	lines := &proc.Lines{}
	err := proc.Command{Path: a.tools[tool], Args: args, Dir: dir, Env: env, Out: out, ErrOut: lines}.Run(ctx)
	lines.Flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return proc.Stopped(ctx, tool+" was running", buildHint)
	}
	return &fault.Error{Code: fault.Failed, What: tool + " " + args[len(args)-1] + " failed: " + proc.WithoutPasswords(aptProblem(lines.All())), Next: ownImage, Cause: err}
}

// aptProblem picks the first error in apt's output, else the last line.
func aptProblem(lines []string) string {
	for _, line := range lines {
		if text, ok := strings.CutPrefix(line, "E: "); ok {
			return text
		}
	}
	if len(lines) == 0 {
		return "it printed nothing"
	}
	return lines[len(lines)-1]
}

// refresh downloads the package lists unless they are fresh. If that fails, older
// lists are used.
func (a apt) refresh(ctx context.Context) error {
	stamp := filepath.Join(a.state, "refreshed")
	info, err := os.Stat(stamp)
	if err == nil && time.Since(info.ModTime()).Abs() < listsFresh {
		return nil
	}
	a.maker.Progress.Say("downloading Debian's package lists")
	failed := a.run(ctx, a.state, nil, "apt-get", "-q", "update")
	if failed == nil {
		return os.WriteFile(stamp, nil, 0o644)
	}
	if err == nil && ctx.Err() == nil {
		a.maker.Progress.Say("the package lists could not be downloaded; using those of %s", info.ModTime().Format("2006-01-02"))
		return nil
	}
	return failed
}

// postgres returns the highest version of Postgres that is offered.
func (a apt) postgres(ctx context.Context) (string, error) {
	var out bytes.Buffer
	if err := a.run(ctx, a.state, &out, "apt-cache", "search", "--names-only", `^postgresql-[0-9]+$`); err != nil {
		return "", err
	}
	best := 0
	for _, found := range regexp.MustCompile(`(?m)^postgresql-(\d+) - `).FindAllStringSubmatch(out.String(), -1) {
		if n, err := strconv.Atoi(found[1]); err == nil && n > best {
			best = n
		}
	}
	switch {
	case best == 0:
		return "", &fault.Error{Code: fault.Failed, What: "this system's package sources offer no Postgres", Next: ownImage}
	case best < leastPostgres:
		return "", &fault.Error{Code: fault.Failed, What: fmt.Sprintf("this system's package sources offer Postgres %d, but %d or newer is needed", best, leastPostgres), Next: ownImage}
	}
	return strconv.Itoa(best), nil
}

// offered returns the packages, NAME=VERSION and sorted, that an installation of
// the named ones on an empty system would install and that needed accepts.
func (a apt) offered(ctx context.Context, needed func(pkg string) bool, names ...string) ([]string, error) {
	var out bytes.Buffer
	args := append([]string{"-s", "-q", "--no-install-recommends", "install"}, names...)
	if err := a.run(ctx, a.state, &out, "apt-get", args...); err != nil {
		return nil, err
	}
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) `).FindAllStringSubmatch(out.String(), -1) {
		name, _, _ := strings.Cut(found[1], ":") // apt writes NAME:ARCH for another architecture
		if pkg := name + "=" + found[2]; needed(pkg) {
			all = append(all, pkg)
		}
	}
	if len(all) == 0 {
		return nil, &fault.Error{Code: fault.Failed, What: "apt names no packages for " + names[0], Next: ownImage}
	}
	slices.Sort(all)
	return all, nil
}

// unpack downloads the packages, whose signatures apt checks, and returns their
// files under the names that keep returns.
func (a apt) unpack(ctx context.Context, packages []string, keep func(pkg, name string) string) (rootfs, error) {
	dir, err := os.MkdirTemp(filepath.Join(a.state, "debs"), "run-")
	if err != nil {
		return nil, proc.NoCache(a.state, err)
	}
	defer os.RemoveAll(dir)
	if err := a.run(ctx, dir, nil, "apt-get", append([]string{"-q", "download"}, packages...)...); err != nil {
		return nil, err
	}
	files := rootfs{}
	for _, one := range packages {
		name, _, _ := strings.Cut(one, "=")
		debs, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
		if err != nil || len(debs) != 1 {
			return nil, &fault.Error{Code: fault.Failed, What: "apt did not download " + one, Next: ownImage}
		}
		if err := a.unpackOne(ctx, debs[0], files, func(file string) string { return keep(name, file) }); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// unpackOne adds the files of one package.
func (a apt) unpackOne(ctx context.Context, deb string, files rootfs, keep func(string) string) error {
	stream, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := a.run(ctx, a.state, in, "dpkg-deb", "--fsys-tarfile", deb)
		in.CloseWithError(err)
		ended <- err
	}()
	err := files.readTar(stream, keep)
	_, _ = io.Copy(io.Discard, stream) // the padding after the end of the archive
	stream.Close()
	if failed := <-ended; failed != nil {
		return failed
	}
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: filepath.Base(deb) + " cannot be unpacked", Next: buildHint, Cause: err}
	}
	return nil
}

// assemble builds an image from the files of packages that keep names.
func (a apt) assemble(ctx context.Context, ref string, packages []string, keep func(pkg, name string) string, of func(rootfs) (image, error)) (images.Archive, error) {
	a.maker.Progress.Say("making %s from %d Debian packages", ref, len(packages))
	files, err := a.unpack(ctx, packages, keep)
	if err != nil {
		return images.Archive{}, err
	}
	image, err := of(files)
	if err != nil {
		return images.Archive{}, err
	}
	archive, err := image.archive()
	if err != nil {
		return images.Archive{}, &fault.Error{Code: fault.Failed, What: "the image " + ref + " cannot be assembled", Next: buildHint, Cause: err}
	}
	return archive, nil
}
