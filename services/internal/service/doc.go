// Package service is what every service of the stack starts with: it loads the
// configuration, logs without showing a value, reports its health, stops when
// asked to, and calls upstreams without leaking the key.
//
// # A service in full
//
//	type config struct {
//		store.Settings // login, host, port and name of the database
//		Interval time.Duration `env:"POLL_INTERVAL,default=30s"`
//	}
//
//	func main() {
//		os.Exit(service.Program[config]{Name: "line-movement-analyzer", Run: run}.Main())
//	}
//
//	func run(ctx context.Context, kit *service.Kit, c *config) error {
//		return c.Poll(ctx, kit, "movements", c.Interval, func(db *store.Store) func(context.Context) (time.Duration, error) {
//			return newAnalyzer(db, kit.Log).step
//		})
//	}
//
// Fields tagged `secret` are loaded by pkg/secrets, fields tagged `env` by this
// package; embedded structs are included. All problems
// are logged at once, one record each, and the service exits 3.
//
// # Subcommands
//
// No argument serves. `health` asks the service's own health endpoint over
// loopback and exits 0 or 1 within two seconds; `health -v` also names the
// secrets, their sources and places, never a value. `version` prints the
// version.
//
// `health -started` exits 0 if the service answers and has been healthy at least
// once. It is the health check in a Swarm, which replaces a task that fails its
// check: an outage of the database would have every task of every service replaced
// again and again, although a new one can do no more than the old one.
//
// # Stopping
//
// SIGTERM makes the health endpoint fail at once. A server with [Server.Linger] goes
// on answering that long, with Connection: close, for clients that still use its
// address; then it finishes the requests in progress. Everything else stops at once.
//
// # Settings of every service
//
// LOG_LEVEL is debug, info (the default), warn or error. HEALTH_ADDRESS is the
// loopback address of the kit's health endpoint, 127.0.0.1:8081 by default.
//
// # Exit codes
//
// 0 after a graceful stop, 1 for a failure, 2 for a wrong command line or a
// panic, 3 for secrets or configuration that cannot be used.
//
// # Goroutines and panics
//
// Start goroutines with Kit.Go and serve HTTP with Kit.Serve. A panic in them,
// and in Run itself, is logged masked; the raw text of the runtime never
// appears, because it is recovered before the runtime prints it. A panic in a
// handler answers 500 and the service goes on; a panic elsewhere ends it with
// exit code 2.
//
// Not covered: a panic in a goroutine that a library started, a fatal error of
// the runtime (concurrent map writes, out of memory) and core dumps. The
// runtime then prints the panic's text and, for each goroutine, the words of
// the arguments in hex: addresses and lengths, not the bytes of a string, but a
// number or a short array passed by value is there in full. GOTRACEBACK none
// hides the stacks but not the text. SIGQUIT would print the same
// stacks; Main answers it with the dump masked and exit code 2.
//
// # Logging
//
// Kit.Log writes JSON to standard error, every record masked for all values
// that were loaded, raw and encoded. The standard library's log and slog.Default
// go the same way. Of a login "role:password" the password on its own is masked too, by package redact.
//
// # Upstreams
//
// Upstream.Get returns an *UpstreamError with a class and a status, without the
// errors of net/http, net/url and encoding/json: those quote the URL, whose query
// may contain a key. Poller calls something at an
// interval, with back-off, and reports to the health registry.
//
// The database is in package store, so that a service without one links none.
package service
