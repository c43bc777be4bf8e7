// Package swarmlab makes a real Swarm of several nodes on one Linux machine, for
// tests that run as root (build tag swarm):
//
//	lab := swarmlab.Up(t, swarmlab.Options{Managers: 3})
//	ref := lab.LoadHelper(t)
//	leader := lab.Leader(t)
//	leader.Power(t)
//	lab.WaitDown(t, leader)
//
// Each node is a dockerd in its own network, mount, process, IPC and UTS
// namespaces, with a private /run, /etc and /sys. It is reached by a socket of
// this machine ([Node.Host], [Node.Client]); nothing else of it is visible.
//
// # The network
//
// The nodes are joined to a switch in a namespace that has no other way out: what
// is outside is unreachable at once, and a name server answers at once that there
// is no such name. So labs do not see each other, and all have the same addresses.
// This machine has no interface in a lab either: [Node.Command] runs a program
// in a node's network.
//
// # What the nodes cannot do
//
// That depends on the kernel: without IPVS neither virtual IPs nor the ingress
// network work (use dnsrr and ports of mode host), without ESP no packet passes
// an encrypted network. Services of loaded images are created without asking a
// registry (docker service create --no-resolve-image).
//
// # Cleaning up
//
// A lab ends with its test. If the test process is killed, a keeper process, which
// waits for the end of a pipe that the test process holds, removes the lab within
// seconds; if the keeper was killed too, the processes of the lab end with it and
// the next [Up] removes the files and cgroups. All processes of a lab are in one
// process namespace, so killing its first process ends them all, and with them go
// their mounts, networks and interfaces. A lab of a live process is never touched.
package swarmlab
