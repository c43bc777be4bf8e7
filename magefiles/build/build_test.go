package build

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

func TestImages_WithoutAnEngineExitsWith4(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	targettest.Run(t, "", func(ctx context.Context) error { return Build{}.Images(ctx, nil, nil, nil) }).Want(t, 4, "no-engine.sock")
}

func TestVersion_IsALineOrADocument(t *testing.T) {
	targettest.Run(t, "", func(ctx context.Context) error { return Version(ctx, nil) }).Want(t, 0, "keepmum not built by build:binary, go")
	yes := true
	result := targettest.Run(t, "", func(ctx context.Context) error { return Version(ctx, &yes) })
	var v version
	if err := json.Unmarshal([]byte(result.Out), &v); err != nil || v.Go == "" || v.Modified {
		t.Errorf("%v in %q", err, result.Out)
	}
}

func TestCompletion_HasAScriptForEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		result := targettest.Run(t, "", func(ctx context.Context) error { return Completion(ctx, shell) })
		result.Want(t, 0, "keepmum")
		if !strings.Contains(result.Out, shell) || !strings.Contains(result.Out, " -l") {
			t.Errorf("%s: not a script of this shell that asks for the targets", shell)
		}
	}
	targettest.Run(t, "", func(ctx context.Context) error { return Completion(ctx, "csh") }).Want(t, 2, "bash, zsh and fish")
}

func TestBinary_OutsideTheCheckoutExitsWith3(t *testing.T) {
	targettest.Dir(t, nil)
	targettest.Run(t, "", func(ctx context.Context) error { return Build{}.Binary(ctx, nil, nil, nil) }).Want(t, 3, "this is not keepmum's own checkout")
}
