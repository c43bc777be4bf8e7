//go:build !integration || !unix

package integration

import (
	"context"
	"os"
)

// clean removes the temporary directory: without containers there is nothing else
// to clean up.
func clean(_ context.Context, mark string) error { return os.RemoveAll(ownTemporary(mark)) }
