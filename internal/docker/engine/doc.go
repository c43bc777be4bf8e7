// Package engine connects keepmum to a Docker engine. No other package of
// keepmum opens a connection to one.
//
// # Which engine
//
// [Connect] finds the engine as the docker command does: DOCKER_HOST, then
// DOCKER_CONTEXT, then the current context of config.json, then the default
// socket. It supports unix sockets, named pipes, TCP, TLS and ssh. The docker
// command itself is only needed on the remote side of an ssh connection.
//
// # Errors
//
// Every error is a [fault.Error] that says what is wrong, where, and the next
// command. If no engine can be used its code is [fault.NoEngine] and its cause
// a [docker.Failure], which distinguishes a stopped engine from one that denies
// access. A cancelled call is [fault.Interrupted]. A message of the engine is
// passed on as one short line; the URL of a request never is, because it
// contains the arguments.
//
// # Promises
//
// No type of docker/docker is in a signature: [Engine.Ask] and [Engine.AskLog]
// make any request of the API, with paths and JSON, for docker/swarm. Calls that do not stream end
// within half a minute, even if the engine hangs. [Engine.RunProbe] always
// removes its container, also when its context is cancelled. A selection by
// labels is never empty.
//
// Raw inspect output may contain values: it is for searching, never for printing.
//
// The package works with Engine 20.10 (API 1.41) up to the newest.
package engine
