//go:build unix

package engine_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

func TestConnect(t *testing.T) {
	for _, api := range []string{"1.41", "1.45", "1.51", "1.60"} {
		f := &fake{API: api, OS: "linux", Answers: map[string]http.HandlerFunc{"GET /info": say(200, `{"OSType":"linux","Architecture":"aarch64"}`)}}
		e := connected(t, f)
		info, err := e.Info(t.Context())
		if want := min(api, "1.51"); err != nil || info.APIVersion != want || info.Arch != "arm64" {
			t.Errorf("%s: %+v %v", api, info, err)
		}
		if at := e.Endpoint(); at.Source != "default" || at.Remote || !strings.HasPrefix(at.Host, "unix://") {
			t.Errorf("%+v", at)
		}
	}
}

func TestConnect_NamesTheCause(t *testing.T) {
	answering := func(f *fake) func(*testing.T) engine.Options {
		return func(t *testing.T) engine.Options { return options(t, listen(t, f)) }
	}
	at := func(make func(path string) error) func(*testing.T) engine.Options {
		return func(t *testing.T) engine.Options {
			path := filepath.Join(shortDir(t), "s")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			return options(t, path)
		}
	}
	for _, c := range []struct {
		name  string
		opt   func(*testing.T) engine.Options
		cause docker.Cause
		says  string
	}{
		{"no socket", at(func(string) error { return nil }), docker.CauseAbsent, "no Docker engine"},
		{"installed", func(t *testing.T) engine.Options {
			opt := options(t, filepath.Join(shortDir(t), "s"))
			opt.Installed = func() bool { return true }
			return opt
		}, docker.CauseStopped, "installed, but not running"},
		{"an orphaned socket", at(orphan), docker.CauseAbsent, "no Docker engine"},
		{"a directory", at(func(path string) error { return os.Mkdir(path, 0o755) }), docker.CauseAddress, "is a directory"},
		{"a file", at(func(path string) error { return os.WriteFile(path, nil, 0o600) }), docker.CauseAddress, "is a file"},
		{"not an engine", answering(&fake{}), docker.CauseAnswer, "is not a Docker engine"},
		{"too old", answering(&fake{API: "1.40", OS: "linux"}), docker.CauseVersion, "too old: it speaks API 1.40, keepmum needs 1.41"},
		{"Windows containers", answering(&fake{API: "1.45", OS: "windows"}), docker.CauseWindows, "runs windows containers"},
		{"internal error", answering(&fake{Answers: map[string]http.HandlerFunc{"HEAD /_ping": say(500, ""), "GET /_ping": say(500, "{}")}}), docker.CauseAnswer, "does not answer like a healthy"},
		{"half an answer", answering(&fake{Answers: map[string]http.HandlerFunc{"HEAD /_ping": cut, "GET /_ping": cut}}), docker.CauseAnswer, "does not answer like a healthy"},
		{"no answer", func(t *testing.T) engine.Options {
			opt := options(t, listen(t, &fake{Answers: map[string]http.HandlerFunc{"HEAD /_ping": hang, "GET /_ping": hang}}))
			opt.Deadline = 100 * time.Millisecond
			return opt
		}, docker.CauseTimeout, "did not answer within 100ms"},
		{"DOCKER_API_VERSION", func(t *testing.T) engine.Options {
			opt := options(t, listen(t, &fake{API: "1.41", OS: "linux"}))
			opt.LookupEnv = env(map[string]string{"DOCKER_API_VERSION": "1.24"})
			return opt
		}, docker.CauseVersion, "DOCKER_API_VERSION asks"},
		{"DOCKER_HOST without a socket", func(t *testing.T) engine.Options {
			opt := options(t, listen(t, &fake{API: "1.41", OS: "linux"}))
			opt.LookupEnv, opt.Installed = env(map[string]string{"DOCKER_HOST": "unix:///keepmum-none.sock"}), func() bool { return true }
			return opt
		}, docker.CauseAbsent, "no engine listens on the socket /keepmum-none.sock (DOCKER_HOST)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := engine.Connect(t.Context(), c.opt(t))
			if err == nil {
				_ = e.Close()
				t.Fatal("connected")
			}
			refused(t, err, c.cause, c.says)
		})
	}
}

// orphan leaves a socket file on which nothing listens.
func orphan(path string) error {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		return err
	}
	listener.SetUnlinkOnClose(false)
	return listener.Close()
}

// cut hangs up in the middle of the headers.
func cut(w http.ResponseWriter, _ *http.Request) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nApi-Ver")
	_ = buffer.Flush()
	_ = conn.Close()
}

// permissionSocket is the variable with the socket for TestPermissionAsNobody,
// which runs in a child.
const permissionSocket = "KEEPMUM_TEST_SOCKET"

func TestPermission(t *testing.T) {
	path := listen(t, &fake{API: "1.41", OS: "linux"})
	dir := filepath.Dir(path)
	if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		_, err := engine.Connect(t.Context(), options(t, path))
		refused(t, err, docker.CausePermission, "denies access")
		return
	}
	// Root may use any socket, so a copy of this test runs as the user nobody.
	copied := filepath.Join(dir, "test")
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(copied, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run=^TestPermissionAsNobody$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{permissionSocket + "=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: TestPermissionAsNobody") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPermissionAsNobody is run by TestPermission; alone it does nothing.
func TestPermissionAsNobody(t *testing.T) {
	path := os.Getenv(permissionSocket)
	if path == "" {
		return
	}
	_, err := engine.Connect(t.Context(), engine.Options{DefaultHost: "unix://" + path, ConfigDir: "/none", LookupEnv: env(nil)})
	refused(t, err, docker.CausePermission, "denies access")
}

func TestConnect_Cancelled(t *testing.T) {
	opt := options(t, listen(t, &fake{Answers: map[string]http.HandlerFunc{"HEAD /_ping": hang, "GET /_ping": hang}}))
	opt.Deadline = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	_, err := engine.Connect(ctx, opt)
	if fault.CodeOf(err) != fault.Interrupted || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = engine.Connect(ctx, opt); fault.CodeOf(err) != fault.Incomplete {
		t.Errorf("%v", err)
	}
}

func TestConnect_SuggestsOtherSockets(t *testing.T) {
	home := shortDir(t)
	other := filepath.Join(home, "docker.sock")
	if err := orphan(other); err != nil {
		t.Fatal(err)
	}
	opt := options(t, filepath.Join(home, "none"))
	opt.LookupEnv = env(map[string]string{"XDG_RUNTIME_DIR": home})
	_, err := engine.Connect(t.Context(), opt)
	var got *fault.Error
	if !errors.As(err, &got) || !strings.Contains(got.Next, "DOCKER_HOST=unix://"+other) {
		t.Errorf("%+v", got)
	}
}

// remote is a TCP engine, with or without TLS, and options that point at it.
func remote(t *testing.T, secure bool, values map[string]string) engine.Options {
	t.Helper()
	server := httptest.NewUnstartedServer(&fake{API: "1.41", OS: "linux"})
	server.Config.ErrorLog = discardLog()
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	all := map[string]string{"DOCKER_HOST": "tcp://" + server.Listener.Addr().String()}
	for name, value := range values {
		all[name] = value
	}
	if all["CA"] != "" {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		write(t, filepath.Join(all["DOCKER_CERT_PATH"], "ca.pem"), string(ca))
	}
	opt := options(t, "/none")
	opt.LookupEnv = env(all)
	return opt
}

func TestTLS(t *testing.T) {
	certs := t.TempDir()
	e, err := engine.Connect(t.Context(), remote(t, true, map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certs, "CA": "yes"}))
	if err != nil {
		t.Fatal(err)
	}
	_ = e.Close()
	if e, err = engine.Connect(t.Context(), remote(t, true, map[string]string{"DOCKER_TLS": "1", "DOCKER_CERT_PATH": t.TempDir()})); err != nil {
		t.Error("unverified:", err)
	} else {
		_ = e.Close()
	}
	_, err = engine.Connect(t.Context(), remote(t, true, nil))
	refused(t, err, docker.CauseTLS, "requires TLS, but none is configured")
	_, err = engine.Connect(t.Context(), remote(t, false, map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": t.TempDir()}))
	refused(t, err, docker.CauseTLS, "does not speak TLS")
	_, err = engine.Connect(t.Context(), remote(t, true, map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": t.TempDir()}))
	refused(t, err, docker.CauseTLS, "not trusted")
}

func TestTLS_ClientCertificateRequired(t *testing.T) {
	server := httptest.NewUnstartedServer(&fake{API: "1.41", OS: "linux"})
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	defer server.Close()
	opt := options(t, "/none")
	opt.LookupEnv = env(map[string]string{"DOCKER_HOST": "tcp://" + server.Listener.Addr().String(), "DOCKER_TLS": "1", "DOCKER_CERT_PATH": t.TempDir()})
	_, err := engine.Connect(t.Context(), opt)
	refused(t, err, docker.CauseTLS, "rejects the client certificate")
}

func TestConnect_RemoteRefuses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	opt := options(t, "/none")
	opt.LookupEnv = env(map[string]string{"DOCKER_HOST": "tcp://" + listener.Addr().String()})
	_, err = engine.Connect(t.Context(), opt)
	refused(t, err, docker.CauseRemote, "nothing listens there")
}

func TestDiagnoseTCP(t *testing.T) {
	plain := errors.New("x")
	refused(t, engine.DiagnoseTCP(plain, &net.DNSError{Err: "no such host", Name: "h"}), docker.CauseRemote, "cannot be found")
	refused(t, engine.DiagnoseTCP(plain, syscall.EHOSTUNREACH), docker.CauseRemote, "cannot be reached")
	refused(t, engine.DiagnoseTCP(plain, context.DeadlineExceeded), docker.CauseRemote, "cannot be reached")
	refused(t, engine.DiagnoseTCP(context.DeadlineExceeded, nil), docker.CauseTimeout, "accepts connections")
	refused(t, engine.DiagnoseTCP(io.EOF, nil), docker.CauseAnswer, "does not answer like a healthy")
	refused(t, engine.DiagnoseTCP(errors.New("x509: certificate has expired"), nil), docker.CauseTLS, "requires TLS")
}

// fakeSSH puts a command ssh first in PATH that prints something and fails.
func fakeSSH(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestSSH_NamesTheCause(t *testing.T) {
	opt := options(t, "/none")
	opt.LookupEnv = env(map[string]string{"DOCKER_HOST": "ssh://me@far.example"})
	for script, says := range map[string]string{
		`echo "Host key verification failed." >&2; exit 255`:                                       "its host key is not known",
		`echo "me@far: Permission denied (publickey)." >&2; exit 255`:                              "accepts none of your ssh keys",
		`echo "ssh: Could not resolve hostname far.example" >&2; exit 255`:                         "its host name is unknown",
		`echo "ssh: connect to host far port 22: Connection refused" >&2; exit 255`:                "no ssh server listens",
		`echo "ssh: connect to host far port 22: Connection timed out" >&2; exit 255`:              "cannot be reached",
		`echo "bash: docker: command not found" >&2; exit 127`:                                     "no docker command",
		`echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1`: "denies access to that user",
		`echo "Cannot connect to the Docker daemon at unix:///x. Is it running?" >&2; exit 1`:      "its engine is not running",
		`echo "something odd" >&2; exit 9`:                                                         "cannot be used over ssh",
	} {
		fakeSSH(t, script)
		_, err := engine.Connect(t.Context(), opt)
		refused(t, err, docker.CauseSSH, says)
	}
	fakeSSH(t, "exec sleep 20")
	opt.Deadline = 200 * time.Millisecond
	_, err := engine.Connect(t.Context(), opt)
	refused(t, err, docker.CauseSSH, "did not answer over ssh within 200ms")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	opt.Deadline = 0
	if _, err := engine.Connect(ctx, opt); fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = engine.Connect(t.Context(), opt)
	refused(t, err, docker.CauseSSH, "ssh is not installed on this machine")
}
