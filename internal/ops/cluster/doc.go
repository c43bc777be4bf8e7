// Package cluster is what every use case over a Swarm starts from: the manager,
// the stack's name and environment, the versions of its secrets, its lock and its
// record.
package cluster
