//go:build integration

package integration

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
)

// mountedSecret is a secret as a container gets it from a source.
type mountedSecret struct {
	secret string
	source string // docker, file, env or _FILE
	value  string
	state  startupState
}

// startupState is what is wrong with a mounted secret; empty: nothing.
type startupState string

const (
	closedFile    startupState = "mode 0000"
	foreignFile   startupState = "mode 0400 of another user"
	emptyFile     startupState = "empty"
	oversizeFile  startupState = "512,000 bytes"
	directoryFile startupState = "a directory"
	symlinkOut    startupState = "a symlink out of the directory"
	danglingLink  startupState = "a dangling symlink"
	nowhere       startupState = "missing"
)

// startupRoots are the directories of the sources in a container, whose working
// directory is the root.
var startupRoots = map[string]string{"docker": "/run/secrets", "file": "/secrets", "_FILE": "/given"}

// startupKind and startupPlace are how a service reports a source.
func startupKind(source string) string {
	if source == "_FILE" {
		return "env"
	}
	return source
}

func startupPlace(source, secret string) string {
	switch source {
	case "docker":
		return "/run/secrets/" + secret
	case "file":
		return "./secrets/" + secret
	case "_FILE":
		return "$" + secret + "_FILE=/given/" + secret
	case "env":
		return "$" + secret
	}
	return source
}

// mounts are all secrets of a service from one source, with the right values.
func (s *startup) mounts(service, source string) []mountedSecret {
	var all []mountedSecret
	for _, secret := range s.granted[service] {
		all = append(all, mountedSecret{secret: secret, source: source, value: s.right[secret]})
	}
	return all
}

// startupLaid is how the engine gets mounted secrets.
type startupLaid struct {
	mounts    []mount.Mount
	variables []string
	visible   []string          // secrets in the environment
	files     map[string]string // by source and secret
	values    map[string]string // of the first source that has the secret
}

// lay writes the files of mounted secrets. Each file is a separate mount, as in
// Compose, unless one is a symlink, which the engine would follow on this
// machine: then the directory is mounted.
func (s *startup) lay(t *testing.T, name string, mounts []mountedSecret) startupLaid {
	t.Helper()
	laid := startupLaid{files: map[string]string{}, values: map[string]string{}}
	targets := map[string]string{}
	for _, mounted := range mounts {
		if _, ok := laid.values[mounted.secret]; !ok {
			laid.values[mounted.secret] = mounted.value
		}
		switch mounted.source {
		case "env":
			laid.variables = append(laid.variables, mounted.secret+"="+mounted.value)
			if mounted.value != "" {
				laid.visible = append(laid.visible, mounted.secret)
			}
			continue
		case "_FILE":
			laid.variables = append(laid.variables, mounted.secret+"_FILE=/given/"+mounted.secret)
		}
		if mounted.state == nowhere {
			continue
		}
		dir := filepath.Join(s.givenTo(name), mounted.source)
		file := s.writeSecretFile(t, dir, mounted)
		laid.files[mounted.source+" "+mounted.secret] = file
		targets[startupRoots[mounted.source]+"/"+mounted.secret] = file
		if mounted.state == symlinkOut {
			targets[path.Dir(startupRoots[mounted.source])+"/elsewhere"] = filepath.Join(s.givenTo(name), "elsewhere")
		}
	}
	for _, mounted := range mounts {
		if mounted.state != symlinkOut && mounted.state != danglingLink {
			continue
		}
		root := startupRoots[mounted.source]
		for target := range targets {
			if strings.HasPrefix(target, root+"/") {
				delete(targets, target)
			}
		}
		targets[root] = filepath.Join(s.givenTo(name), mounted.source)
	}
	laid.mounts = mountsOf(targets)
	slices.Sort(laid.visible)
	return laid
}

// writeSecretFile writes one mounted secret into a directory of this machine.
// Whatever is wrong with it, it holds the right value, so that a log that shows
// what was read is found.
func (s *startup) writeSecretFile(t *testing.T, dir string, mounted mountedSecret) string {
	t.Helper()
	file, outside := filepath.Join(dir, mounted.secret), filepath.Join(filepath.Dir(dir), "elsewhere")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(outside, 0o755), os.Chmod(dir, 0o755), os.Chmod(outside, 0o755))
	write := func(file, text string, mode os.FileMode) {
		err = errors.Join(err, os.WriteFile(file, []byte(text), 0o600), os.Chmod(file, mode))
	}
	switch mounted.state {
	case "":
		write(file, mounted.value, 0o444)
	case emptyFile:
		write(file, "", 0o444)
	case closedFile:
		write(file, mounted.value, 0)
	case foreignFile:
		write(file, mounted.value, 0o400)
	case oversizeFile:
		write(file, mounted.value+"\n"+strings.Repeat("x", 512_000-1-len(mounted.value)), 0o444)
	case directoryFile:
		err = errors.Join(err, os.Mkdir(file, 0o755), os.Chmod(file, 0o755))
		write(filepath.Join(file, "value"), mounted.value, 0o444)
	case symlinkOut:
		write(filepath.Join(outside, mounted.secret), mounted.value, 0o444)
		err = errors.Join(err, os.Symlink("../elsewhere/"+mounted.secret, file))
	case danglingLink:
		err = errors.Join(err, os.Symlink("nothing", file))
	default:
		t.Fatalf("unknown state %s", mounted.state)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// change writes another value into a file, in place: a bind mount keeps the
// inode.
func (c *startupContainer) change(t *testing.T, source, secret, value string) {
	t.Helper()
	file := c.files[source+" "+secret]
	if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, []byte(value), 0o644), os.Chmod(file, 0o444)); err != nil {
		t.Fatal(err)
	}
	c.values[secret] = value
}
