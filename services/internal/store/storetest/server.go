//go:build integration && unix

package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/jackc/pgx/v5"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/integration/reaper"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
)

const (
	// patience bounds everything that the server does.
	patience = 2 * time.Minute
	// label has the mark of the test binary that a server belongs to.
	label = "io.keepmum.storetest"
)

// Server is a running Postgres with the superuser postgres and the empty
// database odds, in its own container. It requires SCRAM, and logs every
// statement.
type Server struct {
	Host  string
	Port  uint16
	Admin secrets.Secret // the superuser's password

	container testcontainers.Container
	ctx       context.Context // outlives each test, for the cleanup
	logged    int             // bytes of the log that are of earlier tests
}

var (
	shared *Server // of this test binary
	mark   string  // by which its reaper finds the server
)

// Main runs the tests of a package and removes their server afterwards, also
// when they are killed. Every package that calls Start has it:
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m *testing.M) int {
	return reaper.Main(func(given string) int {
		mark = given
		code := m.Run()
		if shared == nil {
			return code
		}
		if err := testcontainers.TerminateContainer(shared.container); err != nil {
			fmt.Fprintln(os.Stderr, "storetest: the server was not removed:", err)
			return 1
		}
		return code
	}, reaper.Clean)
}

// Start returns the package's server, which the first call makes, as if it were
// new: with an empty database, without roles. Tests that use it are not
// parallel.
func Start(t testing.TB) *Server {
	t.Helper()
	// No registry answers here, so there is no Ryuk; and if /.dockerenv exists,
	// testcontainers would look for ports on another host.
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	if shared == nil {
		shared = launch(t)
		return shared
	}
	shared.query(t, "DROP DATABASE IF EXISTS odds WITH (FORCE)")
	shared.query(t, "DROP ROLE IF EXISTS "+strings.Join([]string{store.RoleA, store.RoleB, "app"}, ", "))
	shared.query(t, "CREATE DATABASE odds")
	shared.logged = 0
	shared.logged = len(shared.Log())
	return shared
}

// launch makes a server.
func launch(t testing.TB) *Server {
	t.Helper()
	s := &Server{Host: "127.0.0.1", Port: uint16(servicetest.FreeAddress(t).Port), Admin: secrets.New([]byte(rand.Text())), ctx: context.WithoutCancel(t.Context())}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	c, err := testcontainers.Run(ctx, image(ctx, t),
		testcontainers.WithLabels(map[string]string{label: mark}),
		testcontainers.WithEnv(map[string]string{"POSTGRES_DB": "odds", "POSTGRES_PASSWORD_FILE": "/tmp/admin", "POSTGRES_INITDB_ARGS": "--no-sync"}),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: strings.NewReader(s.Admin.RevealString()), ContainerFilePath: "/tmp/admin", FileMode: 0o444}),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "log_statement=all", "-c", "log_min_duration_statement=0",
			"-c", "log_connections=on", "-c", "max_connections=30"),
		testcontainers.WithExposedPorts("5432/tcp"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			// A fixed port, so that it is the same after Down and Up.
			h.PortBindings = nat.PortMap{"5432/tcp": {{HostIP: s.Host, HostPort: strconv.Itoa(int(s.Port))}}}
		}),
	)
	if err != nil {
		_ = testcontainers.TerminateContainer(c)
	}
	check(t, err)
	s.container = c
	s.await(t)
	return s
}

// image is the Postgres to test with: KEEPMUM_POSTGRES_IMAGE, or the one that
// build:images builds from Debian's packages, or the official one.
func image(ctx context.Context, t testing.TB) string {
	t.Helper()
	if named := os.Getenv("KEEPMUM_POSTGRES_IMAGE"); named != "" {
		return named
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	check(t, err)
	defer docker.Close()
	candidates := []string{"postgres:17"}
	for major := 15; major <= 25; major++ {
		candidates = append(candidates, "keepmum/postgres:debian-"+strconv.Itoa(major))
	}
	found := slices.IndexFunc(candidates, func(ref string) bool { _, err := docker.ImageInspect(ctx, ref); return err == nil })
	if found < 0 {
		t.Fatal("the engine has no image of Postgres: mage build:images makes one")
	}
	return candidates[found]
}

// Empty throws the database away and returns a store of a new one, as app_a.
// It takes a fraction of the time that another server takes.
func (s *Server) Empty(t testing.TB) *store.Store {
	t.Helper()
	s.query(t, "DROP DATABASE odds WITH (FORCE)")
	s.query(t, "CREATE DATABASE odds")
	return s.open(t)
}

// open sets the empty database up and connects as app_a.
func (s *Server) open(t testing.TB) *store.Store {
	t.Helper()
	settings := s.Settings(store.RoleA)
	s.Setup(t, settings)
	return Connect(t, settings)
}

// query runs a statement as the superuser in the database postgres.
func (s *Server) query(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn := s.connect(ctx, t)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s failed", statement)
	}
}

// connect connects as the superuser to the database postgres, or returns nil if
// the server does not answer.
func (s *Server) connect(ctx context.Context, t testing.TB) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig("")
	check(t, err)
	config.Host, config.Port, config.User, config.Password, config.Database = s.Host, s.Port, "postgres", s.Admin.RevealString(), "postgres"
	config.TLSConfig, config.Fallbacks = nil, nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil
	}
	return conn
}

// await waits until the server accepts a login.
func (s *Server) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	for {
		if conn := s.connect(ctx, t); conn != nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("postgres is not ready after %s:\n%s", patience, s.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Up starts the server again after Down and waits until it accepts connections.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	check(t, s.container.Start(s.ctx))
	s.await(t)
}

// Down stops the server at once, as a crash would for its clients.
func (s *Server) Down(t testing.TB) {
	t.Helper()
	at := time.Duration(0)
	check(t, s.container.Stop(s.ctx, &at))
}

// Log returns what the server has logged since Start.
func (s *Server) Log() []byte {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	logs, err := s.container.Logs(ctx)
	if err != nil {
		return fmt.Appendf(nil, "the log cannot be read: %v", err)
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		return fmt.Appendf(text, "the log cannot be read: %v", err)
	}
	return text[min(s.logged, len(text)):]
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
	return Start(t).open(t)
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

// check ends the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
