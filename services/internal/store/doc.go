// Package store is the stack's database: its schema, its rows as Go values, and
// typed queries. All services but provider-sim and db-setup reach Postgres
// through it.
//
// # Connecting
//
// Embed Settings in the configuration struct and call Open. The role and its
// password are one value, DB_APP_LOGIN, "app_a:PASSWORD" or "app_b:PASSWORD".
// The connection is configured by fields, never by a URL with a password, and
// accepts only SCRAM, so that no server is sent the password itself. Every
// error that leaves this package is an *Error with a class and a SQLSTATE:
// pgx's own errors hold the configuration, and Postgres quotes rows.
//
// # Time
//
// Rows carry the upstream's clock, which a simulated season runs faster than
// ours. Ask Now for the time it is there; do not compare with time.Now.
// Only Event.SeenAt is our own clock.
//
// # Words
//
// An Event is what The Odds API prices, a Game what API-Basketball schedules and
// scores; the view event_games joins them by teams and start. A Quote is one
// price of one outcome of one book. Outcomes are "home" and "away", in totals
// "over" and "under". Team names are those of CanonicalTeam.
//
// # Who writes what
//
//	odds-ingestion          SaveOdds             events, quotes, clocks
//	schedule-poller         SaveGames            games, clocks
//	line-movement-analyzer  SaveAnalysis         lines, movements
//	prediction-service      SavePredictions, SaveEvaluation
//
// Every Save is one transaction and idempotent: the same rows again change
// nothing. Lead makes sure that two copies of a writer do not run at once.
//
// # Roles
//
// db-setup applies the schema (Setup) as the superuser. The group role app, which cannot log in,
// holds the grants; the login roles app_a and app_b inherit them and nothing
// else, so that they have equal rights and either can replace the other. They
// may read and write rows and change no table.
package store
