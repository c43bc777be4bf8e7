// Package engine is keepmum's only door to a Docker engine.
//
// # Which engine
//
// Connect finds the engine as the docker command does: DOCKER_HOST, then
// DOCKER_CONTEXT, then the current context of config.json, then the default
// socket. It speaks unix sockets, named pipes, TCP, TLS and ssh. The docker
// command itself is needed on the far side of an ssh connection only.
//
// # What fails, and how
//
// Every failure is an *fault.Error whose text says what is wrong, where, and the
// next command. When no engine can be used its class is fault.NoEngine and its
// cause an *docker.Failure, so that a use case can tell an engine that is
// stopped from one that denies access. A call that was cancelled is
// fault.Interrupted. What the engine itself says is passed on as one short line;
// the addresses of requests, which hold their arguments, never are.
//
// # What it promises
//
// No type of docker/docker stands in a signature. Calls that do not stream end
// within half a minute, even when the engine hangs. What RunProbe makes is
// removed in every outcome, also when its context is cancelled. A selection by
// labels is never empty, so nothing can remove everything.
//
// Raw inspect output may hold values: it is for searching, never for printing.
//
// The package works with Engine 20.10 (API 1.41) up to the newest.
package engine
