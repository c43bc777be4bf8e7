package stack_test

import (
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestDown_StopsWhatIsThere(t *testing.T) {
	w := newWorld(t)
	down := func(volumes, dry bool) stack.DownResult {
		t.Helper()
		result, err := w.use().Down(t.Context(), stack.DownOptions{Volumes: volumes, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if down(false, false); len(w.downs) != 0 {
		t.Error("Compose was run for nothing")
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := down(false, true); len(w.downs) != 0 || !slices.Equal(result.Containers, []string{"shop-api-1", "shop-db-1", "shop-setup-1"}) {
		t.Errorf("dry run: %+v, ran %v", result, w.downs)
	}
	down(false, false)
	down(true, false)
	if !slices.Equal(w.downs, []bool{false, true}) {
		t.Errorf("ran with volumes: %v", w.downs)
	}
}
