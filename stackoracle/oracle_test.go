package stackoracle

import (
	"testing"

	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
)

func TestX(t *testing.T) { _ = convert.Services; _ = loader.Load }
