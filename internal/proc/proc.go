// Package proc runs other programs: Compose, the Go toolchain, apt.
//
// A [Command] runs without the terminal's input, in a new process group, which
// its Ctrl-C does not reach. When its context ends, the whole group is
// interrupted and killed a moment later, so that a keepmum command returns within
// a second and leaves nothing running. On systems without process groups only
// the program itself is killed.
//
// A child never gets our whole environment, which may contain exported values:
// [Inherit] picks named variables.
//
// [Lines] is a writer that splits a child's output into lines, for progress and
// for its error. The adapters' shared helpers are here too: [CacheDir],
// [Stopped] and [WithoutPasswords].
package proc

import (
	"context"
	"io"
	"os/exec"
	"sort"
	"time"
)

// Grace is how long an interrupted child may take to end.
const Grace = 600 * time.Millisecond

// Command is a program to run to its end.
type Command struct {
	Path   string // as found by exec.LookPath
	Args   []string
	Dir    string            // "": the current directory
	Env    map[string]string // the child's whole environment
	In     io.Reader         // nil: empty
	Out    io.Writer         // nil: discarded
	ErrOut io.Writer         // nil: discarded
}

// Run runs the command. Its error is that of exec.Cmd.Run: an *exec.ExitError
// for an exit code. Check ctx to see whether it was stopped.
func (c Command) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, Environ(c.Env), c.In, c.Out, c.ErrOut
	cmd.WaitDelay = Grace
	ownGroup(cmd)
	err := cmd.Run()
	killGroup(cmd)
	return err
}

// Environ returns an environment in the form that os/exec takes, sorted. An
// empty one is not nil, because nil would pass on our own.
func Environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// Inherit picks the named variables out of an environment.
func Inherit(lookup func(string) (string, bool), names []string) map[string]string {
	env := map[string]string{}
	for _, name := range names {
		if value, ok := lookup(name); ok {
			env[name] = value
		}
	}
	return env
}

// SystemNames lists the variables that nearly every program needs. Users of
// keepmum keep values in none of them.
func SystemNames() []string {
	return []string{
		"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "USERNAME", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
	}
}

// EngineNames lists what a Docker client needs: [SystemNames] and the variables
// that choose the engine.
func EngineNames() []string {
	return append(SystemNames(), "SSH_AUTH_SOCK",
		"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM")
}

// GoNames lists what the Go toolchain needs: [SystemNames], [ProxyNames] and its
// settings.
func GoNames() []string {
	own := []string{
		"GOPATH", "GOMODCACHE", "GOCACHE", "GOROOT", "GOENV", "GOFLAGS", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE",
		"GOTOOLCHAIN", "GOAUTH", "GOTMPDIR", "SSH_AUTH_SOCK",
	}
	return append(append(SystemNames(), ProxyNames()...), own...)
}

// ProxyNames lists the variables that choose a proxy.
func ProxyNames() []string {
	return []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
}
