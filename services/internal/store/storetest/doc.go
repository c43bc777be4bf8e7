// Package storetest gives integration tests a real Postgres: a server in
// a container, one for each package, from the image that mage build:images makes
// (or KEEPMUM_POSTGRES_IMAGE, or postgres:17 where the engine has it).
//
// Its functions exist only with the build tag integration. Without an engine or
// an image a test fails and says so: it is never skipped.
//
//	db := storetest.Open(t)            // a *store.Store with the schema, as app_a
//
//	server := storetest.Start(t)       // a server with an empty database, no roles
//	server.Settings(store.RoleA)       // what a service is configured with
//	server.Empty(t)                    // a store of a new database, for the next subtest
package storetest
