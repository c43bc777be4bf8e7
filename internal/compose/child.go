package compose

import (
	"context"
	"io"
	"os/exec"
	"time"
)

// grace is how long an interrupted child may take to end by itself. With it a
// command still returns within a second of Ctrl-C.
const grace = 600 * time.Millisecond

// child is a program to run to its end.
type child struct {
	path   string
	args   []string
	dir    string
	env    []string
	out    io.Writer
	errOut io.Writer
}

// run starts the child in a group of its own, without standard input, and
// waits. When ctx ends, the group is interrupted, and killed after the grace.
func (c child) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, c.out, c.errOut
	cmd.WaitDelay = grace
	ownGroup(cmd)
	err := cmd.Run()
	killGroup(cmd)
	return err
}

// engineNames lists the variables that a Docker client needs of its user: none
// of them is a place where keepmum's users keep values.
func engineNames() []string {
	return []string{
		"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM",
		"SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "USERNAME", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
	}
}

// goNames lists what the Go toolchain needs beside engineNames.
func goNames() []string {
	return []string{
		"GOPATH", "GOMODCACHE", "GOCACHE", "GOROOT", "GOENV", "GOFLAGS", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOTOOLCHAIN", "GOAUTH", "GOTMPDIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	}
}

// inherit picks the named variables out of the environment.
func inherit(getenv func(string) (string, bool), names []string) map[string]string {
	env := map[string]string{}
	for _, name := range names {
		if value, ok := getenv(name); ok {
			env[name] = value
		}
	}
	return env
}
