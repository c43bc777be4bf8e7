package store

import (
	"context"
	"crypto/rand"
	_ "embed" // the schema

	"github.com/jackc/pgx/v5"
)

// schema is applied at each Setup, so each of its statements may run twice.
//
//go:embed schema.sql
var schema string

// roles creates the group role, the login roles and their rights. An existing login
// role keeps its attributes and its password: it may have been locked
// on purpose. Without a password a new one cannot log in.
//
// The server ends a session whose client vanished, such as a container that was
// killed with its network, within half a minute. The default is two hours (Linux,
// tcp_keepalive_time), during which a poller's advisory lock would stay taken.
const roles = `
DO $$
DECLARE
	login text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
		CREATE ROLE app NOLOGIN;
	END IF;
	FOREACH login IN ARRAY ARRAY['app_a', 'app_b'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
			EXECUTE format('CREATE ROLE %I LOGIN', login);
		END IF;
		EXECUTE format('ALTER ROLE %I SET tcp_keepalives_idle = 10', login);
		EXECUTE format('ALTER ROLE %I SET tcp_keepalives_interval = 5', login);
		EXECUTE format('ALTER ROLE %I SET tcp_keepalives_count = 3', login);
		EXECUTE format('ALTER ROLE %I SET tcp_user_timeout = %L', login, '30s');
	END LOOP;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO app', current_database());
END
$$;
GRANT app TO app_a, app_b;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
`

// quiet keeps the text of the statements of this transaction out of the
// server's log and statistics. Only a superuser may set these.
const quiet = `
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL log_duration = off;
SET LOCAL pg_stat_statements.track_utility = off;
`

// Setup prepares the database for the services: schema, roles, rights and the
// password of the role that login names. It does only what is missing, and can be
// run again. Admin is the superuser's target.
//
// The password is set, as passwordSet then says, only when a login with it fails,
// and travels as a SCRAM verifier. A wrong password of admin is an *Error of class
// WrongPassword.
func Setup(ctx context.Context, admin Target, login Login) (passwordSet bool, err error) {
	conn, err := admin.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := applySchema(ctx, conn); err != nil {
		return false, classify(err, admin.Role)
	}
	app := admin
	app.Role, app.Password = login.Role, login.Password
	if err := app.try(ctx); !IsClass(err, WrongPassword) {
		return false, err
	}
	if err := setPassword(ctx, conn, login); err != nil {
		return false, classify(err, admin.Role)
	}
	return true, app.try(ctx)
}

// connect opens one connection.
func (t Target) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := t.poolConfig()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	return conn, classify(err, t.Role)
}

// try logs in and out.
func (t Target) try(ctx context.Context) error {
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	return classify(conn.Close(ctx), t.Role)
}

// applySchema creates tables, roles and rights in one transaction. Concurrent
// calls take turns.
func applySchema(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey("schema")); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema+roles)
		return err
	})
}

// setPassword gives the role the password and lets it log in. ALTER ROLE takes no
// parameters: the role is quoted by the server's own rules, and a verifier contains
// only base64, digits, $, : and -.
func setPassword(ctx context.Context, conn *pgx.Conn, login Login) error {
	salt := make([]byte, scramSaltBytes)
	rand.Read(salt) // never fails: it ends the program instead
	made, err := verifier(login.Password, salt)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, quiet); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "ALTER ROLE "+pgx.Identifier{login.Role}.Sanitize()+" LOGIN PASSWORD '"+made.RevealString()+"'")
		return err
	})
}
