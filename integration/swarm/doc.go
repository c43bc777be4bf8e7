// Package swarm tests the compiled keepmum against a real Swarm (build tag swarm,
// as root): what it does, what it says, how it ends and what it leaves when
// something goes wrong.
//
// Each bad situation is a subtest of [TestFaults] or [TestNodes] and a row of
// docs/FAILURES.md. To run one, and to write its row again:
//
//	go test -tags swarm ./integration/swarm -run 'TestFaults/crash_loop' -update
//
// A stage is one project with one stack on a Swarm of [swarmlab]. The stages of
// one Swarm have different stacks and run side by side.
package swarm
