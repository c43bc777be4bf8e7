//go:build integration

package integration

import "testing"

type startupFaultKey struct{ what, source string }

func (s *startup) refusals(t *testing.T) {}
