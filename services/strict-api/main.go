// Command strict-api answers what the stack knows over HTTP, on port 8090:
//
//	GET /health       open: {"status":"ok"}, or 503 and the names of what fails
//	GET /games        schedule and results
//	GET /odds         each book's last prices before the start
//	GET /movements    opening, current and closing lines, moves, reversals, steam
//	GET /predictions  probabilities that the home side wins, and how well past ones did
//
// # Token
//
// All but /health need the header "Authorization: Bearer TOKEN" with the value
// of STRICT_API_TOKEN. Without it, or with another, the answer is 401; more
// than 60 wrong ones in a minute are answered 429, which never holds up the
// right one. A token in the query is refused with 400, right or wrong, because
// query strings end in logs. With the token, /health also names why something
// fails, and the secrets that are loaded with their sources; never a value.
//
// # Query
//
//	event   an event_id               all
//	team    a full team name          all
//	from    start of the game, day or moment, inclusive; without it and without
//	        event: twelve hours before now, by the upstream's clock
//	to      exclusive                 all
//	limit   1 to 200, 50 by default   all
//	after   the next of the page before
//	status  scheduled, live, finished, postponed, cancelled   /games
//	book    key of a book; in /movements also "consensus"     /odds, /movements
//	market  h2h (default), spreads, totals                    /odds
//	kind    move, steam, reversal                             /movements
//
// Anything else in a query is refused, and all problems are named at
// once. Pages are in the order of start and id; "next" is null on the last one.
//
// # Errors
//
// Every error is application/problem+json (RFC 9457) with a code: no_such_path,
// method_not_allowed, token_in_query, body_not_accepted, unauthorized,
// too_many_wrong_tokens, invalid_query, database, internal. No answer repeats a
// value that the client sent or a word that the database said.
//
// # Log
//
// One record a request: id, method, path, status, size, time, client. The query
// is not in it, nor a path or method that is not the API's own.
//
// # Stopping
//
// On SIGTERM /health fails at once, so that a load balancer stops sending
// requests; the API answers for SHUTDOWN_DELAY longer, because clients that have
// looked up its address still use it, then finishes the requests in progress.
package main

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

type config struct {
	store.Settings
	Token secrets.Secret `secret:"STRICT_API_TOKEN"`
	Delay time.Duration  `env:"SHUTDOWN_DELAY,default=0s"`
}

func main() {
	os.Exit(program(service.Server{Address: ":8090"}).Main())
}

// program is the service behind a server, whose handler it sets.
func program(server service.Server) service.Program[config] {
	return service.Program[config]{
		Name:      "strict-api",
		HealthURL: "http://127.0.0.1:8090" + healthPath,
		Run: func(ctx context.Context, kit *service.Kit, c *config) error {
			// Nil until the database is connected; until then the API answers too, and
			// says what is missing. The connection stays while the API lingers.
			var connected atomic.Pointer[store.Store]
			kit.Go("database", func(ctx context.Context) error {
				db, err := store.Open(ctx, c.Settings, kit)
				connected.Store(db)
				return err
			})
			late := func() (archive, error) {
				if db := connected.Load(); db != nil {
					return db, nil
				}
				return nil, &store.Error{Class: store.Starting, What: "not connected to the database yet"}
			}
			server.Linger = c.Delay
			server.Handler = newAPI(late, newBearer(c.Token), kit.Health, origins(kit.Secrets), kit.Log)
			return kit.Serve(ctx, server)
		},
	}
}
