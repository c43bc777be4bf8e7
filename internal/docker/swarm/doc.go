// Package swarm is a Swarm's API over the connection of docker/engine: secrets,
// configs, services, tasks, nodes, networks, and images at their registries.
//
// # Specifications
//
// A specification is read and sent as JSON, as it is: what one version of the
// engine wrote goes back to it byte for byte, with every field, also one that
// neither keepmum nor docker's client knows. The same holds for the part of it
// that a task has, so the two can be compared.
//
// # Errors
//
// Every error is a [fault.Error]. Its cause is docker.ErrNotFound,
// docker.ErrExists, docker.ErrInUse or docker.ErrOutOfDate, for errors.Is. That
// the engine is no manager, or that the Swarm has no leader, is
// [fault.NoEngine] with a [docker.Failure] of the cause docker.CauseSwarm. What
// the engine says is passed on as one short line, except where a value was sent:
// then only known words are.
//
// # Promises
//
// Every call has the deadline of docker/engine, and a registry or a credential
// helper has one of 10 s. A value is sent only if it cannot be read on its way.
// Lists are sorted.
//
// Credentials are those of docker login: DOCKER_AUTH_CONFIG, else the credential
// helper, else config.json. A helper gets the variables that helpers are known
// to need, not the whole environment.
//
// The package works with Engine 20.10 (API 1.41) up to the newest.
package swarm
