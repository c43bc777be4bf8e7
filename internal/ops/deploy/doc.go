// Package deploy holds the use cases over a stack in a Swarm: plan what will
// change, deploy it, look at it, roll it back, remove it.
package deploy
