package store

import (
	"context"
	"crypto/rand"
	_ "embed" // the schema
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/keepmum/keepmum/pkg/secrets"
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
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
		CREATE ROLE app NOLOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_a') THEN
		CREATE ROLE app_a LOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_b') THEN
		CREATE ROLE app_b LOGIN;
	END IF;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO app', current_database());
END
$$;
GRANT app TO app_a, app_b;
ALTER ROLE app_a SET tcp_keepalives_idle = 10;
ALTER ROLE app_a SET tcp_keepalives_interval = 5;
ALTER ROLE app_a SET tcp_keepalives_count = 3;
ALTER ROLE app_a SET tcp_user_timeout = '30s';
ALTER ROLE app_b SET tcp_keepalives_idle = 10;
ALTER ROLE app_b SET tcp_keepalives_interval = 5;
ALTER ROLE app_b SET tcp_keepalives_count = 3;
ALTER ROLE app_b SET tcp_user_timeout = '30s';
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

// SetupResult says what Setup did.
type SetupResult struct {
	Role        string // the role of DB_APP_LOGIN
	PasswordSet bool   // false when a login with it worked already
}

// Setup prepares the database for the services: schema, roles, rights and the
// password of the role that login names. It does only what is missing, and can be
// run again. Admin is the superuser's target.
//
// The password is set only when a login with it fails, and travels as a SCRAM
// verifier. A wrong password of admin is an *Error of class WrongPassword.
func Setup(ctx context.Context, admin Target, login Login) (SetupResult, error) {
	result := SetupResult{Role: login.Role}
	conn, err := admin.connect(ctx)
	if err != nil {
		return result, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := applySchema(ctx, conn); err != nil {
		return result, classify(err, admin.Role)
	}
	app := admin
	app.Role, app.Password = login.Role, login.Password
	switch err := app.try(ctx); {
	case err == nil:
		return result, nil
	case !isClass(err, WrongPassword):
		return result, err
	}
	if err := setPassword(ctx, conn, login); err != nil {
		return result, classify(err, admin.Role)
	}
	result.PasswordSet = true
	return result, app.try(ctx)
}

// isClass reports whether err is an *Error of the class.
func isClass(err error, class Class) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Class == class
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

// applySchema creates tables, roles and rights in one transaction. Two at once
// take turns.
func applySchema(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey("schema")); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema+roles)
		return err
	})
}

// setPassword gives the role the password and lets it log in.
func setPassword(ctx context.Context, conn *pgx.Conn, login Login) error {
	made, err := verifier(login.Password, rand.Reader)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, quiet); err != nil {
			return err
		}
		return alter(ctx, tx, login.Role, made)
	})
}

// alter runs ALTER ROLE, which takes no parameters: both parts are quoted by
// the server's own rules. A verifier contains only base64, digits, $, : and -.
func alter(ctx context.Context, tx pgx.Tx, role string, made secrets.Secret) error {
	_, err := tx.Exec(ctx, "ALTER ROLE "+pgx.Identifier{role}.Sanitize()+" LOGIN PASSWORD '"+made.RevealString()+"'")
	return err
}
