package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class is what kind of failure the database shows.
type Class string

// The classes of failure.
const (
	WrongPassword Class = "wrong password"
	NoDatabase    Class = "no such database"
	NoSchema      Class = "no schema"
	NoRight       Class = "no right"
	Unreachable   Class = "unreachable"
	Starting      Class = "starting"
	TooMany       Class = "too many connections"
	Slow          Class = "slow"
	NotFound      Class = "not found"
	Statement     Class = "statement failed"
)

// Error says what kind of failure the database shows, in our own words. It
// neither quotes nor wraps errors of pgx or Postgres: those of pgx contain the
// configuration with the password, and Postgres quotes rows.
type Error struct {
	Class Class
	Code  string // SQLSTATE, if there is one
	Role  string // that was used
	What  string
}

// Error returns What and the SQLSTATE.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.What
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", e.What, e.Code)
}

// IsClass reports whether err is an *Error of one of the classes.
func IsClass(err error, classes ...Class) bool {
	var failure *Error
	return errors.As(err, &failure) && slices.Contains(classes, failure.Class)
}

// classify replaces err by an *Error. nil and context.Canceled are returned
// unchanged.
func classify(err error, role string) error {
	var (
		server *pgconn.PgError
		own    *Error
		dns    *net.DNSError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &server):
		return classifyState(server.Code, role)
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return &Error{Class: Slow, What: "the database does not answer in time"}
	case errors.As(err, &dns):
		return &Error{Class: Unreachable, What: "the database's host name, DB_HOST, is not found"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Class: Unreachable, What: "the database refuses connections; is postgres up?"}
	case pgconn.SafeToRetry(err), isConnect(err):
		return &Error{Class: Unreachable, What: "no connection to the database, or it does not authenticate with SCRAM"}
	}
	return &Error{Class: Statement, What: "the database broke off"}
}

// isConnect reports whether err was made while connecting.
func isConnect(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect)
}

// classifyState maps a SQLSTATE.
func classifyState(code, role string) *Error {
	failure := &Error{Class: Statement, Code: code, Role: role, What: "a statement failed"}
	switch code {
	case "28P01", "28000":
		failure.Class, failure.What = WrongPassword, "wrong password for role "+role
	case "3D000":
		failure.Class, failure.What = NoDatabase, "the database DB_NAME does not exist"
	case "42P01", "42703", "3F000":
		failure.Class, failure.What = NoSchema, "the schema is missing or older than this program; run db-setup"
	case "42501":
		failure.Class, failure.What = NoRight, "role "+role+" lacks a right; run db-setup"
	case "57P03", "57P01", "57P02":
		failure.Class, failure.What = Starting, "the database is starting or stopping"
	case "53300":
		failure.Class, failure.What = TooMany, "the database has no connection left"
	case "57014":
		failure.Class, failure.What = Slow, "the database does not answer in time"
	}
	return failure
}
