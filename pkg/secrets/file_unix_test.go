//go:build unix

package secrets_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// TestSpecialFiles: anything but a regular file is an error, at once. If open
// waited for the writer of a pipe, the service would hang at its start.
func TestSpecialFiles(t *testing.T) {
	// A short path: on some systems the path of a socket is limited to 104 bytes.
	dir, err := os.MkdirTemp("", "km")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := syscall.Mkfifo(filepath.Join(dir, "PIPE"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("PIPE", filepath.Join(dir, "LINK")); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	byVariable := secrets.Env(env(map[string]string{
		"P_FILE": filepath.Join(dir, "PIPE"), "S_FILE": filepath.Join(dir, "SOCKET"), "D_FILE": "/dev/zero",
	}))
	for _, c := range []struct {
		source     secrets.Source
		name, want string
	}{
		{secrets.Dir(dir), "PIPE", "is a pipe, not a file"},
		{secrets.Dir(dir), "LINK", "is a pipe, not a file"},
		{secrets.Dir(dir), "SOCKET", "is a socket, a pipe or a device, not a file"},
		{secrets.Dir("/dev"), "null", "is a device, not a file"},
		{secrets.Dir("/dev"), "zero", "is a device, not a file"},
		{byVariable, "P", "is a pipe, not a file"},
		{byVariable, "S", "is a socket, a pipe or a device, not a file"},
		{byVariable, "D", "is a device, not a file"},
	} {
		done := make(chan string, 1)
		go func() { done <- outcome(c.source.Lookup(c.name)) }()
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "unreadable: ") || !strings.HasSuffix(got, c.want) {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the lookup hangs", c.name)
		}
	}
}

// TestPermission: a file that may not be read, a directory that may not be
// searched and one that may not be opened are unreadable, never absent.
func TestPermission(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"A": "v"}, &secretstest.Options{Mode: 0o200})
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	noSearch := secretstest.Write(t, map[string]string{"A": "v"}, nil)
	if err := os.Chmod(noSearch, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700); _ = os.Chmod(noSearch, 0o700) })

	sources := map[string]secrets.Source{
		"file": secrets.Dir(dir), "directory": secrets.Dir(closed), "below": secrets.Dir(filepath.Join(closed, "none")),
		"search": secrets.Docker(noSearch), "env": secrets.Env(env(map[string]string{"A_FILE": filepath.Join(dir, "A")})),
	}
	for what, source := range sources {
		var got string
		asNobody(t, func() { got = outcome(source.Lookup("A")) })
		if !strings.HasPrefix(got, "unreadable: ") || !strings.HasSuffix(got, ": permission denied") {
			t.Errorf("%s: got %q", what, got)
		}
	}
}

// TestPermissionHint: the hint names the user id.
func TestPermissionHint(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"A": "v"}, &secretstest.Options{Mode: 0o200})
	var config struct {
		A string `secret:"A,optional,default=x"`
	}
	var err error
	asNobody(t, func() { _, err = secretstest.Loader(dir).Load(&config) })
	if err == nil || !strings.Contains(err.Error(), "permission denied\n    let uid ") || config.A != "" {
		t.Errorf("got %v", err)
	}
}

// asNobody runs do without the rights of root, on a thread that is then thrown
// away.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := dropRights()
		if err == nil {
			do()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}
