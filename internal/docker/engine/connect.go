package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/proc"
)

// oldest is the API version of Engine 20.10.
const oldest = "1.41"

// Engine is a connection to an engine that answered. It is safe for
// concurrent use.
type Engine struct {
	client       *client.Client
	endpoint     docker.Endpoint
	base         url.URL // of the API; the version and the path of a request follow
	inClear      bool
	configDir    string
	callDeadline time.Duration // 0: 30 s
}

// Connect finds the engine and checks that it answers, has a supported API
// version and runs Linux containers. Close the result.
func Connect(ctx context.Context, opt Options) (*Engine, error) {
	t, err := resolve(opt)
	if err != nil {
		return nil, err
	}
	cli, err := client.NewClientWithOpts(t.opts...)
	if err != nil {
		return nil, failure(docker.CauseAddress, t.Endpoint, "the client refuses the address",
			"the engine's address "+t.Host+" ("+t.Source+") cannot be used", "use unix:///path, tcp://host:port or ssh://user@host")
	}
	if err := greet(ctx, cli, t, opt); err != nil {
		_ = cli.Close()
		return nil, err
	}
	return &Engine{
		client: cli, endpoint: t.Endpoint, base: t.base(cli.DaemonHost()), inClear: t.scheme == "tcp" && !t.tls && t.Remote,
		configDir: opt.configDir(), callDeadline: opt.CallDeadline,
	}, nil
}

// Close closes the connection.
func (e *Engine) Close() error { return e.client.Close() }

// Endpoint returns which engine this is and who chose it.
func (e *Engine) Endpoint() docker.Endpoint { return e.endpoint }

// API returns the version of the API that was agreed on with the engine, such as
// 1.41.
func (e *Engine) API() string { return e.client.ClientVersion() }

// InClear reports whether others can read what is sent: by TCP without TLS to
// another machine. A loopback port counts as this machine, as in
// [docker.Endpoint]: what is sent to it leaves this machine, if at all, through
// the tunnel that listens there, as with ssh -L.
func (e *Engine) InClear() bool { return e.inClear }

// ConfigDir returns the directory of the docker configuration.
func (e *Engine) ConfigDir() string { return e.configDir }

// greet gets the first answer and checks it.
func greet(ctx context.Context, cli *client.Client, t target, opt Options) error {
	inner, cancel := context.WithTimeout(ctx, opt.deadline(t))
	defer cancel()
	ping, err := cli.Ping(inner)
	switch {
	case err != nil:
		return diagnose(ctx, cli, t, opt, err)
	case ping.APIVersion == "":
		return failure(docker.CauseAnswer, t.Endpoint, "the answer names no API version",
			"what answers at "+t.Host+" ("+t.Source+") is not a Docker engine", elsewhere(t, opt))
	case versions.LessThan(ping.APIVersion, oldest):
		return failure(docker.CauseVersion, t.Endpoint, "API "+ping.APIVersion,
			"the engine at "+t.Host+" is too old: it speaks API "+OneLine(ping.APIVersion)+", keepmum needs "+oldest+" (Engine 20.10) or newer",
			"update the engine")
	case ping.OSType != "" && ping.OSType != "linux":
		return failure(docker.CauseWindows, t.Endpoint, "OSType "+OneLine(ping.OSType),
			"the engine at "+t.Host+" runs "+OneLine(ping.OSType)+" containers; keepmum's services are Linux containers",
			"switch Docker Desktop to Linux containers")
	}
	cli.NegotiateAPIVersionPing(ping)
	if asked := opt.env("DOCKER_API_VERSION"); asked != "" && versions.LessThan(asked, oldest) {
		return failure(docker.CauseVersion, t.Endpoint, "DOCKER_API_VERSION",
			"DOCKER_API_VERSION asks for an API older than "+oldest, "unset DOCKER_API_VERSION")
	}
	return nil
}

// diagnose finds out why there was no first answer. The client drops the
// system's error, so the address is dialled once more without it.
func diagnose(ctx context.Context, cli *client.Client, t target, opt Options, cause error) error {
	if ctx.Err() != nil {
		return proc.Stopped(ctx, "connecting to the engine at "+t.Host, "")
	}
	if t.scheme == "ssh" {
		return sshFailure(t, opt, lastWords(ctx, cli, cause))
	}
	dialled := dial(ctx, t)
	if t.scheme == "tcp" {
		return diagnoseTCP(t, opt, cause, dialled)
	}
	return diagnoseSocket(t, opt, cause, dialled)
}

// dial connects and hangs up.
func dial(ctx context.Context, t target) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if t.scheme == "npipe" {
		return nil // the client's error is enough
	}
	conn, err := new(net.Dialer).DialContext(ctx, t.scheme, t.address)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func diagnoseSocket(t target, opt Options, cause, dialled error) error {
	say := func(why docker.Cause, detail, what, next string) error {
		return failure(why, t.Endpoint, detail, what, next)
	}
	info, statErr := os.Stat(t.address)
	either := func(target error) bool { return errors.Is(dialled, target) || errors.Is(cause, target) }
	switch {
	case either(fs.ErrPermission):
		return say(docker.CausePermission, "the socket denies access",
			"the engine's socket "+t.address+" denies access to this user",
			"sudo usermod -aG docker \"$USER\", then log in again; or run this command with sudo")
	case statErr == nil && info.IsDir():
		return say(docker.CauseAddress, "the socket is a directory",
			t.address+" ("+t.Source+") is a directory: a container that mounts the socket was started before the engine",
			"remove the directory, then restart the engine")
	case statErr == nil && info.Mode().IsRegular():
		return say(docker.CauseAddress, "the socket is a file", t.address+" ("+t.Source+") is a file, not an engine's socket", elsewhere(t, opt))
	case (either(fs.ErrNotExist) || either(syscall.ECONNREFUSED)) && t.Source != "default":
		return say(docker.CauseAbsent, "nothing listens on the socket", "no engine listens on the socket "+t.address+" ("+t.Source+")", elsewhere(t, opt))
	case either(fs.ErrNotExist) || either(syscall.ECONNREFUSED):
		if opt.installed() {
			return say(docker.CauseStopped, "nothing listens on the socket",
				"an engine is installed, but not running: nothing listens on "+t.address+" ("+t.Source+")", elsewhere(t, opt))
		}
		return say(docker.CauseAbsent, "there is no socket",
			"no Docker engine is installed, and there is no socket "+t.address+" ("+t.Source+")", elsewhere(t, opt))
	case errors.Is(cause, context.DeadlineExceeded):
		return say(docker.CauseTimeout, "connected, no answer",
			"something listens on "+t.address+" ("+t.Source+"), but did not answer within "+opt.deadline(t).String(),
			"restart the engine (sudo systemctl restart docker), then mage engine:doctor")
	}
	return say(docker.CauseAnswer, OneLine(hideURL(cause)),
		"what listens on "+t.address+" ("+t.Source+") does not answer like a healthy Docker engine",
		"restart the engine (sudo systemctl restart docker), then mage engine:doctor")
}

func diagnoseTCP(t target, opt Options, cause, dialled error) error {
	say := func(why docker.Cause, detail, what, next string) error {
		return failure(why, t.Endpoint, detail, "the engine at "+t.Host+" ("+t.Source+") "+what, next)
	}
	var dns *net.DNSError
	switch {
	case errors.As(dialled, &dns):
		return say(docker.CauseRemote, "unknown host", "cannot be found: unknown host name", elsewhere(t, opt))
	case errors.Is(dialled, syscall.ECONNREFUSED):
		return say(docker.CauseRemote, "refused", "refuses the connection: nothing listens there", elsewhere(t, opt))
	case dialled != nil:
		return say(docker.CauseRemote, "unreachable", "cannot be reached from this machine", elsewhere(t, opt))
	case aboutTLS(cause):
		return say(docker.CauseTLS, "TLS", tlsProblem(t, cause),
			"check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or the context's certificates (docker context inspect)")
	case errors.Is(cause, context.DeadlineExceeded):
		return say(docker.CauseTimeout, "connected, no answer", "accepts connections, but did not answer within "+opt.deadline(t).String(), elsewhere(t, opt))
	}
	return say(docker.CauseAnswer, OneLine(hideURL(cause)), "does not answer like a healthy Docker engine", elsewhere(t, opt))
}

// aboutTLS reports whether the two sides disagree about TLS.
func aboutTLS(err error) bool {
	signs := []string{"x509:", "tls:", "malformed HTTP response", "HTTP response to HTTPS client", "HTTP request to an HTTPS server", "TLS-enabled", "bad certificate"}
	return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(err.Error(), sign) })
}

func tlsProblem(t target, err error) string {
	text := err.Error()
	switch {
	case !t.tls:
		return "requires TLS, but none is configured"
	case strings.Contains(text, "HTTP response to HTTPS client") || strings.Contains(text, "first record does not look"):
		return "does not speak TLS, but TLS is configured"
	case strings.Contains(text, "remote error"):
		return "rejects the client certificate"
	case strings.Contains(text, "expired"):
		return "presents a certificate that is expired or not yet valid"
	}
	return "presents a certificate that is not trusted or not for this host"
}

// lastWords returns an error that contains what ssh printed. If ssh ends before
// our request is written, the client only has a broken pipe; then ssh is run
// again, without a request.
func lastWords(ctx context.Context, cli *client.Client, cause error) error {
	if strings.Contains(cause.Error(), "stderr=") || errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, exec.ErrNotFound) {
		return cause
	}
	conn, err := cli.Dialer()(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	said := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		said <- err
	}()
	select {
	case err := <-said:
		_ = conn.Close()
		if err != nil {
			return err
		}
	case <-ctx.Done():
		go func() { _ = conn.Close() }() // waits for ssh to end
	}
	return cause
}

// sshFailure explains what ssh printed before it gave up.
func sshFailure(t target, opt Options, err error) error {
	say := func(detail, what, next string) error {
		return failure(docker.CauseSSH, t.Endpoint, detail, "the engine at "+t.Host+" ("+t.Source+") "+what, next)
	}
	for _, known := range []struct{ sign, what, next string }{
		{"Host key verification failed", "its host key is not known", "ssh to it once manually and accept the key"},
		{"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key has changed", "find out why before accepting the new key"},
		{"Permission denied", "it accepts none of your ssh keys", "ssh-add, or check the user in the address"},
		{"Could not resolve hostname", "its host name is unknown", "check the address"},
		{"Connection refused", "no ssh server listens there", "check the address and port"},
		{"timed out", "it cannot be reached", "check the address and the network"},
		{"No route to host", "it cannot be reached", "check the address and the network"},
		{"executable file not found", "ssh is not installed on this machine", "install an ssh client"},
		{"not found", "it has no docker command", "install Docker 18.09 or newer there"},
		{"permission denied while trying to connect", "its engine denies access to that user", "add the user to the group docker there"},
		{"Cannot connect to the Docker daemon", "its engine is not running", "start the engine there"},
	} {
		if strings.Contains(err.Error(), known.sign) {
			return say(known.what, "cannot be used over ssh: "+known.what, known.next)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return say("no answer", "did not answer over ssh within "+opt.deadline(t).String(), "ssh to it manually to see why")
	}
	return say("ssh failed", "cannot be used over ssh", "ssh to it manually to see why")
}

// elsewhere returns the hint if the chosen engine is not there: another one that
// is, or mage engine:up.
func elsewhere(t target, opt Options) string {
	if t.Source != "default" {
		undo := "docker context use default"
		if t.Source == "DOCKER_HOST" {
			undo = "unset DOCKER_HOST"
		} else if opt.env("DOCKER_CONTEXT") != "" {
			undo = "unset DOCKER_CONTEXT"
		}
		if path, ok := strings.CutPrefix(opt.defaultHost(), "unix://"); ok && path != t.address && isSocket(path) {
			return undo + ": this machine's engine has a socket at " + path
		}
		return "start it, correct the address, or " + undo
	}
	for _, path := range opt.otherSockets() {
		if path != t.address && isSocket(path) {
			return "export DOCKER_HOST=unix://" + path + " (a socket exists there), or mage engine:up"
		}
	}
	return "mage engine:up"
}

// otherSockets lists where engines of this user put their sockets.
func (o Options) otherSockets() []string {
	var all []string
	if dir := o.env("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, filepath.Join(dir, "docker.sock"))
	}
	home := o.home()
	if home == "" {
		return all
	}
	for _, path := range []string{".docker/run/docker.sock", ".docker/desktop/docker.sock", ".colima/default/docker.sock", ".orbstack/run/docker.sock", ".rd/docker.sock"} {
		all = append(all, filepath.Join(home, filepath.FromSlash(path)))
	}
	return all
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeSocket != 0
}

func (o Options) deadline(t target) time.Duration {
	usual := 10 * time.Second
	if t.scheme == "ssh" {
		usual = 30 * time.Second
	}
	return cmp.Or(o.Deadline, usual)
}

func (o Options) installed() bool {
	if o.Installed != nil {
		return o.Installed()
	}
	if _, err := exec.LookPath("dockerd"); err == nil {
		return true
	}
	for _, path := range []string{"/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/bin/docker.dockerd"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// hideURL describes an error without the URL of the request.
func hideURL(err error) string {
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	case isEOF(err):
		return "the answer was cut off"
	case errdefs.IsInternal(err):
		return "internal error of the engine"
	}
	return "the answer is not understood"
}

func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
