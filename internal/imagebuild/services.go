package imagebuild

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/proc"
)

// compileDeadline is for go build of all services with an empty cache.
const compileDeadline = 15 * time.Minute

// caPath is where an image has the certificate authorities.
const caPath = "etc/ssl/certs/ca-certificates.crt"

// probePackage is the program by which stack:up checks that secrets can be read.
const probePackage = "./internal/imagebuild/probe"

// Services compiles the services in Dir/services for an architecture and returns
// an image for each, after that of [images.ProbeImage]. It implements
// [images.ServiceMaker].
func (m Maker) Services(ctx context.Context, arch string, refs map[string]string) ([]images.Archive, error) {
	m = m.filled()
	names := slices.Sorted(maps.Keys(refs))
	if err := m.sources(names); err != nil {
		return nil, err
	}
	roots, err := m.roots()
	if err != nil {
		return nil, err
	}
	out, err := m.outDir(arch)
	if err != nil {
		return nil, err
	}
	if err := m.compile(ctx, arch, out, names); err != nil {
		return nil, err
	}
	base := serviceBase(roots)
	var all []images.Archive
	named := map[string]string{"probe": images.ProbeImage}
	maps.Copy(named, refs)
	for _, name := range append([]string{"probe"}, names...) {
		binary, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return nil, &fault.Error{Code: fault.Failed, What: "services/" + name + " is not a program", Next: "give it a package main", Cause: err}
		}
		made, err := serviceImage(named[name], arch, name, base, binary).archive()
		if err != nil {
			return nil, &fault.Error{Code: fault.Failed, What: "the image of " + name + " cannot be assembled", Next: buildHint, Cause: err}
		}
		all = append(all, made)
	}
	return all, nil
}

// sources checks that the sources of the services are here.
func (m Maker) sources(names []string) error {
	var findings []fault.Finding
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(m.Dir, "services", name)); err != nil || !info.IsDir() {
			findings = append(findings, fault.Finding{File: "services/" + name, Subject: name, Problem: "the source of its image is not here"})
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "images cannot be built", Findings: findings, Next: "run it in a clone of keepmum, or give the services other images"}
}

// outDir returns the directory for programs of an architecture. It stays, so
// that the toolchain sees which programs are up to date and links only those
// that are not: without changes a build takes a third of a second.
func (m Maker) outDir(arch string) (string, error) {
	module, err := filepath.Abs(m.Dir)
	if err != nil {
		return "", proc.NoCache(m.Dir, err)
	}
	cache, err := proc.CacheDir(m.CacheDir)
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "build", digest([]byte(module))[:12]+"-"+arch)
	if err := os.MkdirAll(filepath.Join(out, "tmp"), 0o700); err != nil {
		return "", proc.NoCache(out, err)
	}
	return out, nil
}

// compile builds static programs of the named services into the directory out.
func (m Maker) compile(ctx context.Context, arch, out string, names []string) error {
	goTool, err := m.LookPath("go")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "there is no go on this machine to build the services with", Next: "install the Go that go.mod names, and put it on the PATH"}
	}
	ctx, cancel := context.WithTimeout(ctx, compileDeadline)
	defer cancel()
	env := proc.Inherit(m.LookupEnv, proc.GoNames())
	env["CGO_ENABLED"], env["GOOS"], env["GOARCH"], env["GOWORK"] = "0", "linux", arch, "off"
	env["GOTMPDIR"] = filepath.Join(out, "tmp") // on the same file system, so that programs are replaced atomically
	// The build id stays in: with -trimpath it is the same everywhere, and the
	// toolchain sees by it which programs are up to date.
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out + string(filepath.Separator), probePackage}
	for _, name := range names {
		args = append(args, "./services/"+name)
	}
	lines := &proc.Lines{}
	err = proc.Command{Path: goTool, Args: args, Dir: m.Dir, Env: env, Out: lines, ErrOut: lines}.Run(ctx)
	lines.Flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return proc.Stopped(ctx, "the services were being compiled", buildHint)
	}
	failed := &fault.Error{Code: fault.Failed, What: "the services do not compile", Next: "go build ./services/..."}
	for _, line := range lines.All() {
		if !strings.HasPrefix(line, "go: downloading ") {
			failed.Findings = append(failed.Findings, fault.Finding{Problem: line})
		}
	}
	return failed
}

// serviceBase is the layer that all services share: users, certificate
// authorities, and a directory for temporary files.
func serviceBase(roots []byte) rootfs {
	base := rootfs{}
	base.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/nonexistent\nkeepmum:x:65532:65532:keepmum:/:/nonexistent\n"))
	base.file("etc/group", 0o644, []byte("root:x:0:\nkeepmum:x:65532:\n"))
	base.file(caPath, 0o644, roots)
	base.dir("tmp", 0o1777, 0, 0)
	return base
}

// serviceImage is the image of one service.
func serviceImage(ref, arch, name string, base rootfs, binary []byte) image {
	program := rootfs{}
	program.file(name, 0o755, binary)
	return image{
		ref: ref, arch: arch, layers: []rootfs{base, program},
		config: config{
			User: "65532:65532", Entrypoint: []string{"/" + name}, WorkingDir: "/",
			Env: []string{"PATH=/", "SSL_CERT_FILE=/" + caPath},
		},
	}
}

// roots returns the certificate authorities of this machine.
func (m Maker) roots() ([]byte, error) {
	places := []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem", "/etc/ssl/cert.pem",
	}
	if file, ok := m.LookupEnv("SSL_CERT_FILE"); ok && file != "" {
		places = []string{file}
	}
	if m.RootFiles != nil {
		places = m.RootFiles
	}
	for _, place := range places {
		data, err := os.ReadFile(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &fault.Error{Code: fault.Failed, What: "the certificate authorities in " + place + " cannot be read", Next: "set SSL_CERT_FILE to a file of them in PEM form", Cause: err}
		}
		if onlyCertificates(data) {
			return data, nil
		}
		return nil, &fault.Error{Code: fault.Failed, What: place + " is not a list of certificates in PEM form", Next: "set SSL_CERT_FILE to one"}
	}
	return nil, &fault.Error{
		Code: fault.Failed, What: "this machine has no certificate authorities for the images: looked in " + strings.Join(places, ", "),
		Next: "apt-get install ca-certificates, or set SSL_CERT_FILE to a file of them in PEM form",
	}
}

// onlyCertificates reports whether data holds certificates in PEM form and no
// other block: a private key does not belong in an image.
func onlyCertificates(data []byte) bool {
	found := false
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return found && !bytes.Contains(rest, []byte("PRIVATE KEY"))
		}
		if !strings.HasSuffix(block.Type, "CERTIFICATE") {
			return false
		}
		found, data = true, rest
	}
}
