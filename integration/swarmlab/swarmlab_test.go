//go:build swarm && linux

package swarmlab

import "testing"

func TestFirst(t *testing.T) {
	l := Up(t, Options{Managers: 1})
	t.Log(l.Leader(t).Name())
	l.LoadHelper(t)
}
