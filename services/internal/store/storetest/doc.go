// Package storetest gives integration tests a real Postgres: a server of their
// own, started from the binaries of this machine as an unprivileged user, on
// loopback, in a temporary directory.
//
// Its functions exist with the build tag integration alone. Where there is no
// initdb on PATH or under /usr/lib/postgresql, a test fails and says so: a
// missing server is no reason to skip.
//
//	db := storetest.Open(t)            // a *store.Store with the schema, as app_a
//
//	server := storetest.Start(t)       // a server with an empty database, no roles
//	server.Settings(store.RoleA)       // what a service is configured with
//	server.Empty(t)                    // a store of a new database, for the next subtest
package storetest
