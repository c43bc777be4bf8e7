package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
)

// LoginName is the secret that holds role and password of the database in one
// value, "role:password".
const LoginName = "DB_APP_LOGIN"

// Settings is what a service needs to reach the database. Embed it in the
// configuration struct.
type Settings struct {
	Login secrets.Secret `secret:"DB_APP_LOGIN"`
	Host  string         `env:"DB_HOST"`
	Port  uint16         `env:"DB_PORT,default=5432"`
	Name  string         `env:"DB_NAME,default=odds"`
}

// Login is the role and password of DB_APP_LOGIN.
type Login struct {
	Role     string
	Password secrets.Secret
}

// The login roles. Both have the rights of the group role.
const (
	RoleA = "app_a"
	RoleB = "app_b"
)

// ParseLogin splits "role:password". The role is app_a or app_b. The password
// is of printable ASCII, because clients normalise other characters in
// different ways. The error is a *service.ConfigError.
func ParseLogin(login secrets.Secret) (Login, error) {
	role, password, ok := strings.Cut(login.RevealString(), ":")
	what := ""
	switch {
	case !ok:
		what = "not of the form role:password"
	case role != RoleA && role != RoleB:
		what = "the role before the colon is neither app_a nor app_b"
	case password == "":
		what = "the password after the colon is empty"
	case strings.ContainsFunc(password, func(r rune) bool { return r < 0x20 || r > 0x7e }):
		what = "the password after the colon contains a newline or another character that is not printable ASCII"
	}
	if what != "" {
		return Login{}, &service.ConfigError{
			Name: LoginName, What: what, Next: "secrets:generate " + LoginName + ", then stack:up",
		}
	}
	return Login{Role: role, Password: secrets.New([]byte(password))}, nil
}

// Target is one database of one server, as one role.
type Target struct {
	Host        string
	Port        uint16
	Database    string
	Role        string
	Password    secrets.Secret
	Application string // shown in pg_stat_activity
}

// poolConfig configures a pool by fields. Nothing is taken from PG* variables,
// password files or service files.
func (t Target) poolConfig() (*pgxpool.Config, error) {
	// The text below is all that is parsed; only ParseConfig returns a valid
	// configuration. require_auth: no server may ask for the password in
	// the clear, or skip asking.
	config, err := pgxpool.ParseConfig("host=localhost port=5432 user=nobody dbname=none sslmode=disable require_auth=scram-sha-256 connect_timeout=5 passfile=/nonexistent servicefile=/nonexistent")
	if err != nil {
		return nil, errors.New("the database settings in PG* variables cannot be used; unset them")
	}
	conn := config.ConnConfig
	conn.Host, conn.Port, conn.Database = t.Host, t.Port, t.Database
	conn.User, conn.Password = t.Role, t.Password.RevealString()
	conn.RuntimeParams = map[string]string{"application_name": t.Application, "timezone": "UTC"}
	config.AfterConnect = scanInUTC
	config.MaxConns = 4
	config.MaxConnLifetime = 30 * time.Minute
	config.MaxConnIdleTime = 5 * time.Minute
	return config, nil
}

// scanInUTC has a connection return times in UTC.
func scanInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	return nil
}

// Store is a connection pool with the typed queries.
type Store struct {
	pool *pgxpool.Pool
}

// Open connects with DB_APP_LOGIN and registers the health check "postgres".
// It tries again with back-off until it succeeds or ctx is done; each failure
// is logged by its class ("wrong password for role app_a") and shown by the
// check. An error is ctx's own or a *service.ConfigError.
func Open(ctx context.Context, settings Settings, kit *service.Kit) (*Store, error) {
	login, err := ParseLogin(settings.Login)
	if err != nil {
		return nil, err
	}
	config, err := Target{
		Host: settings.Host, Port: settings.Port, Database: settings.Name,
		Role: login.Role, Password: login.Password, Application: kit.Name,
	}.poolConfig()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, classify(err, login.Role)
	}
	store := &Store{pool: pool}
	kit.Health.Set("postgres", errors.New("not connected yet"))
	for failures := 1; ; failures++ {
		err := store.ping(ctx, login.Role)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			pool.Close()
			return nil, ctx.Err()
		}
		kit.Health.Set("postgres", err)
		wait := service.Backoff{Max: 15 * time.Second}.Delay(failures, nil)
		kit.Log.Warn("cannot use the database", "error", err.Error(), "failures", failures, "wait", wait.Round(time.Millisecond).String())
		service.Sleep(ctx, wait)
	}
	kit.Health.Register("postgres", func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return store.ping(ctx, login.Role)
	})
	kit.Log.Info("connected to the database", "role", login.Role)
	return store, nil
}

// ping asks for something that needs the schema, so that an empty database does
// not look ready.
func (s *Store) ping(ctx context.Context, role string) error {
	var ready bool
	err := s.pool.QueryRow(ctx, "SELECT count(*) >= 0 FROM clocks").Scan(&ready)
	return classify(err, role)
}

// Close closes all connections.
func (s *Store) Close() { s.pool.Close() }
