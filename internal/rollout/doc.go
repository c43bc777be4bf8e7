// Package rollout decides what a deployment to a Swarm does: how versions are
// named, what differs between a stack as it is and as it should be ([Make] makes
// a [Plan] of it), and whether a service has converged.
//
// The package is pure: no clock, no engine, no values.
package rollout
