package test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

func TestTargets_OutsideTheCheckoutExitWith3(t *testing.T) {
	for name, target := range map[string]func(context.Context) error{
		"unit":        Test{}.Unit,
		"integration": func(ctx context.Context) error { return Test{}.Integration(ctx, nil) },
		"swarm":       func(ctx context.Context) error { return Test{}.Swarm(ctx, nil) },
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

func TestSwarm_IsRefusedUnlessRoot(t *testing.T) {
	if err := asRoot(0); err != nil {
		t.Errorf("root is refused: %v", err)
	}
	for _, user := range []int{1000, -1} { // Windows has no user ids
		var refused *fault.Error
		if err := asRoot(user); !errors.As(err, &refused) || refused.Code != fault.Invalid || !strings.Contains(refused.What, "as root only") || refused.Next != "sudo mage test:swarm" {
			t.Errorf("user %d: %v", user, err)
		}
	}
	// The target asks first who runs it, and then for an engine.
	t.Chdir("../..")
	t.Setenv("DOCKER_HOST", "unix:///nowhere/no-engine.sock")
	want, part := 3, "as root only"
	if os.Geteuid() == 0 {
		want, part = 4, "/nowhere/no-engine.sock"
	}
	targettest.Run(t, "", func(ctx context.Context) error { return Test{}.Swarm(ctx, nil) }).Want(t, want, part)
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
