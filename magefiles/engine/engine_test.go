package engine

import (
	"context"
	"testing"

	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

func TestTargets_WithoutAnEngineExitWith4(t *testing.T) {
	yes := true
	for name, target := range map[string]func(context.Context) error{
		"up":          func(ctx context.Context) error { return Engine{}.Up(ctx, nil, nil, nil) },
		"up dry":      func(ctx context.Context) error { return Engine{}.Up(ctx, &yes, &yes, nil) },
		"doctor":      func(ctx context.Context) error { return Engine{}.Doctor(ctx, nil) },
		"doctor json": func(ctx context.Context) error { return Engine{}.Doctor(ctx, &yes) },
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Dir(t, nil)
			result := targettest.Run(t, "", target)
			result.Want(t, 4, "no-engine.sock", "next: ")
			if shows := result.Out != ""; shows != (name == "doctor" || name == "doctor json") {
				t.Errorf("standard output: %q", result.Out)
			}
		})
	}
}
