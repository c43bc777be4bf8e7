//go:build integration && unix

package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// patience bounds everything that the server does.
const patience = 60 * time.Second

// Server is a running Postgres with the superuser postgres and the empty
// database odds. It wants SCRAM over TCP, and logs every statement.
type Server struct {
	Host  string
	Port  uint16
	Admin secrets.Secret // the superuser's password

	bin, dir string
	as       *syscall.Credential
	run      *exec.Cmd
	exited   chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// Start makes and starts a server and stops it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Host: "127.0.0.1", Port: freePort(t), Admin: secrets.New([]byte(rand.Text())), bin: findBinaries(t)}
	dir, err := os.MkdirTemp("", "storetest-")
	check(t, err)
	s.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		s.as = nobody(t)
		check(t, os.Chown(dir, int(s.as.Uid), int(s.as.Gid)))
	}
	s.initialise(t)
	s.Up(t)
	t.Cleanup(func() { s.Down(t) })
	s.command(t, "createdb", "-h", s.dir, "-p", strconv.Itoa(int(s.Port)), "-U", "postgres", "odds")
	return s
}

// Empty throws the database away and returns a store of a new one, as app_a.
// It takes a fraction of the time that another server takes.
func (s *Server) Empty(t testing.TB) *store.Store {
	t.Helper()
	at := []string{"-h", s.dir, "-p", strconv.Itoa(int(s.Port)), "-U", "postgres"}
	s.command(t, "dropdb", append(at, "--force", "odds")...)
	s.command(t, "createdb", append(at, "odds")...)
	settings := s.Settings(store.RoleA)
	s.Setup(t, settings)
	return Connect(t, settings)
}

// findBinaries returns the directory of the newest initdb.
func findBinaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("no initdb on PATH or under /usr/lib/postgresql: install the package postgresql to run the integration tests")
	}
	path, err = filepath.EvalSymlinks(path)
	check(t, err)
	return filepath.Dir(path)
}

// version reads 15 of /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // no number: oldest
	return n
}

// nobody is the user to run as instead of root, which Postgres refuses.
func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	who, err := user.Lookup("nobody")
	check(t, err)
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	check(t, err)
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	check(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
}

// initialise makes the data directory.
func (s *Server) initialise(t testing.TB) {
	t.Helper()
	password := filepath.Join(s.dir, "password")
	check(t, os.WriteFile(password, s.Admin.Reveal(), 0o600))
	if s.as != nil {
		check(t, os.Chown(password, int(s.as.Uid), int(s.as.Gid)))
	}
	s.command(t, "initdb", "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+password)
	check(t, os.Remove(password))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command runs one of the server's programs to its end.
func (s *Server) command(t testing.TB, name string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := s.prepare(exec.CommandContext(ctx, filepath.Join(s.bin, name), arguments...)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
}

// prepare sets user and directory.
func (s *Server) prepare(c *exec.Cmd) *exec.Cmd {
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return c
}

// Up starts the server and waits until it accepts connections.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // the cleanup ends it
	s.run = s.prepare(exec.CommandContext(ctx, filepath.Join(s.bin, "postgres"), "-D", s.data(),
		"-c", "listen_addresses="+s.Host, "-c", fmt.Sprintf("port=%d", s.Port), "-c", "unix_socket_directories="+s.dir,
		"-c", "fsync=off", "-c", "log_statement=all", "-c", "log_min_duration_statement=0", "-c", "log_connections=on",
		"-c", "logging_collector=off", "-c", "max_connections=30"))
	s.run.Stderr = (*lockedLog)(s)
	check(t, s.run.Start())
	s.exited = make(chan struct{})
	go func(run *exec.Cmd, exited chan struct{}) { _ = run.Wait(); close(exited) }(s.run, s.exited)
	deadline := time.Now().Add(patience)
	for {
		ready := s.prepare(exec.CommandContext(t.Context(), filepath.Join(s.bin, "pg_isready"), "-q", "-h", s.Host, "-p", strconv.Itoa(int(s.Port))))
		if ready.Run() == nil {
			return
		}
		select {
		case <-s.exited:
			t.Fatalf("postgres ended at once:\n%s", s.Log())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("postgres is not ready after %s:\n%s", patience, s.Log())
		}
	}
}

// Down stops the server at once, as a crash would for its clients.
func (s *Server) Down(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	_ = s.run.Process.Signal(syscall.SIGQUIT) // ended by itself: fine
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.run.Process.Kill()
		t.Errorf("postgres did not stop")
	}
}

// lockedLog is the server's log as a writer.
type lockedLog Server

// Write adds to the log.
func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// Log returns what the server has logged.
func (s *Server) Log() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.log.Bytes())
}

// AdminTarget is the superuser's way into the database odds.
func (s *Server) AdminTarget() store.Target {
	return store.Target{
		Host: s.Host, Port: s.Port, Database: "odds", Role: "postgres", Password: s.Admin, Application: "storetest",
	}
}

// Settings is what a service is configured with, with a new random password for
// the role. The role has it after store.Setup.
func (s *Server) Settings(role string) store.Settings {
	return store.Settings{
		Login: secrets.New([]byte(role + ":" + rand.Text())), Host: s.Host, Port: s.Port, Name: "odds",
	}
}

// Setup applies the schema and sets the password of the settings' role.
func (s *Server) Setup(t testing.TB, settings store.Settings) {
	t.Helper()
	login, err := store.ParseLogin(settings.Login)
	check(t, err)
	_, err = store.Setup(t.Context(), s.AdminTarget(), login)
	check(t, err)
}

// Open starts a server, sets it up and connects as app_a.
func Open(t testing.TB) *store.Store {
	t.Helper()
	server := Start(t)
	settings := server.Settings(store.RoleA)
	server.Setup(t, settings)
	return Connect(t, settings)
}

// Connect opens a store and closes it when the test ends.
func Connect(t testing.TB, settings store.Settings) *store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	db, err := store.Open(ctx, settings, Kit("storetest"))
	check(t, err)
	t.Cleanup(db.Close)
	return db
}

// Kit is a kit without a program, which logs nothing.
func Kit(name string) *service.Kit {
	return &service.Kit{Name: name, Log: slog.New(slog.DiscardHandler), Health: service.NewHealth()}
}

// freePort returns a port that was free a moment ago.
func freePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// check ends the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
