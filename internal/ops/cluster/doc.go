// Package cluster is what every use case over a Swarm starts from: the manager,
// the stack's name and environment, the versions of its secrets, its lock and its
// record.
//
//	state, err := cluster.New(config).Open(ctx, "shop")
//	err = state.Under(ctx, "secrets:toSwarm", func(ctx context.Context) error {
//		now, err := state.Reload(ctx) // what another command made before the lock was ours
//		…
//		return now.Record(ctx, cluster.Entry{Operation: "secrets:toSwarm", Outcome: "done"})
//	})
//
// # The lock
//
// Commands that change a stack do it one at a time. The lock is a config of the
// Swarm. Its holder moves it every 5 s by compare-and-swap of its labels. Who
// has seen the same version of it for 30 s may take it over, by compare-and-swap
// too: of two that try, one gets it. A holder whose heartbeats have all failed
// for 25 s has lost it before anybody else can have it, and its context ends.
// All of this is measured by each machine's own monotonic clock; no time that
// another machine wrote is ever compared.
//
// Not promised: a machine that sleeps does not measure that time. When it wakes
// up it may work on for up to 5 s, until its next heartbeat.
//
// # The record
//
// The last 50 operations are in a config of the Swarm, which everybody who may
// use the API can read and remove. It never holds a value.
package cluster
