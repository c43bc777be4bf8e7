package integration

import "context"

// backgroundOfTests is for what all tests of the package share, and so
// outlives each.
func backgroundOfTests() context.Context { return context.Background() }
