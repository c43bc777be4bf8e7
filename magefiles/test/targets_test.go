package test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/gotool"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

func TestTargets_OutsideTheCheckoutExitWith3(t *testing.T) {
	for name, target := range map[string]func(context.Context) error{
		"unit":        Test{}.Unit,
		"integration": func(ctx context.Context) error { return Test{}.Integration(ctx, nil) },
		"all":         func(ctx context.Context) error { return Test{}.All(ctx, nil) },
		"mutants":     func(ctx context.Context) error { return Test{}.Mutants(ctx, nil, nil) },
		"lint":        Lint,
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Dir(t, nil)
			targettest.Run(t, "", target).Want(t, 3, "this is not keepmum's own checkout", "cd to the checkout")
		})
	}
}

func TestTargets_ThatNeedAnEngineExitWith4BeforeAnyTest(t *testing.T) {
	for name, target := range map[string]func(context.Context) error{
		"integration": func(ctx context.Context) error { return Test{}.Integration(ctx, nil) },
		"all":         func(ctx context.Context) error { return Test{}.All(ctx, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir("../..")
			t.Setenv("DOCKER_HOST", "unix:///nowhere/no-engine.sock")
			if result := targettest.Run(t, "", target); result.Code != 4 || strings.Contains(result.Out, "passed") {
				t.Errorf("code %d\n%s%s", result.Code, result.Out, result.Err)
			}
		})
	}
}

func TestShow_EndsInTheLineThatCIReads(t *testing.T) {
	for name, err := range map[string]error{"passed": nil, "failed": errors.New("1 tests failed")} {
		t.Run(name, func(t *testing.T) {
			result := targettest.Run(t, "", func(ctx context.Context) error {
				return console.Run(ctx, 0, func(_ context.Context, c *console.Console) error {
					return show(c, gotool.Tally{Passed: 3, Failed: 1, Skipped: []string{}}, err)
				})
			})
			if !strings.HasSuffix(result.Out, "\n3 passed, 1 failed, 0 skipped\n") && result.Out != "3 passed, 1 failed, 0 skipped\n" || (result.Code != 0) != (err != nil) {
				t.Errorf("code %d, %q", result.Code, result.Out)
			}
		})
	}
}
