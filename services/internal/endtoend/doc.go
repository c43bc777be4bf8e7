// Package endtoend holds tests of the services as programs: built, started with
// their secrets in ./secrets, asked by their health subcommand, stopped by
// signals, against a real Postgres and the provider simulator with its faults.
// All that they print is searched for every value in every encoding.
//
//	go test -tags integration ./services/internal/endtoend
package endtoend
