// Command db-setup prepares the database for the services, and ends: the schema, the group role app with its rights, the login roles app_a
// and app_b, and the password of the role that DB_APP_LOGIN names. Running it
// again changes nothing and says so.
//
// It logs in as the superuser with DB_ADMIN_PASSWORD. The new password reaches
// the server as a SCRAM verifier, with statement logging off, so that it is in
// no log of the server. An existing role keeps its attributes: only the
// one that DB_APP_LOGIN names is given a password and the right to log in.
//
// It waits for a server that is not up yet. It does not try again when the
// server refuses the superuser's password: Postgres takes that password at
// initdb alone, so that a changed file has no effect on an existing database.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// config is what db-setup reads.
type config struct {
	store.Settings
	AdminPassword secrets.Secret `secret:"DB_ADMIN_PASSWORD"`
	AdminRole     string         `env:"DB_ADMIN_ROLE,default=postgres"`
	Wait          time.Duration  `env:"DB_SETUP_WAIT,default=60s"`
}

func main() { os.Exit(program().Main()) }

func program() service.Program[config] {
	return service.Program[config]{Name: "db-setup", Run: run, OneShot: true}
}

func run(ctx context.Context, kit *service.Kit, c *config) error {
	login, err := store.ParseLogin(c.Login)
	if err != nil {
		return err
	}
	admin := store.Target{
		Host: c.Host, Port: c.Port, Database: c.Name,
		Role: c.AdminRole, Password: c.AdminPassword, Application: kit.Name,
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	passwordSet, err := setUp(ctx, admin, login, kit.Log)
	if err != nil {
		return explain(err, admin, login)
	}
	what := "the password already works"
	if passwordSet {
		what = "the password was set"
	}
	kit.Log.Info("the database is ready", "role", login.Role, "password", what)
	return nil
}

// setUp tries until the server is up.
func setUp(ctx context.Context, admin store.Target, login store.Login, log *slog.Logger) (passwordSet bool, err error) {
	backoff := service.Backoff{Base: 500 * time.Millisecond, Max: 3 * time.Second}
	for failures := 1; ; failures++ {
		passwordSet, err = store.Setup(ctx, admin, login)
		if !isPassing(err) {
			return passwordSet, err
		}
		log.Info("the database is not up yet", "error", err.Error())
		if !service.Sleep(ctx, backoff.Delay(failures, nil)) {
			return passwordSet, err
		}
	}
}

// isPassing reports whether waiting may help.
func isPassing(err error) bool {
	return store.IsClass(err, store.Unreachable, store.Starting, store.TooMany)
}

// explain adds the next step to errors that have one.
func explain(err error, admin store.Target, login store.Login) error {
	var failure *store.Error
	if !errors.As(err, &failure) || failure.Class != store.WrongPassword {
		return err
	}
	if failure.Role == login.Role {
		return &service.ConfigError{
			Name: store.LoginName,
			What: "role " + login.Role + " cannot log in although its password was just set",
			Next: "check VALID UNTIL of the role and pg_hba.conf",
		}
	}
	return &service.ConfigError{
		Name: "DB_ADMIN_PASSWORD",
		What: "the database refuses it for role " + admin.Role +
			": postgres reads the file only when it creates a new database, so the one in the volume still has the password from then",
		Next: "restore the former value with secrets:set DB_ADMIN_PASSWORD; or change it in the database, with ALTER ROLE " + admin.Role +
			" PASSWORD from psql inside the container; or, if the data may be lost, remove the volume and start again",
	}
}
