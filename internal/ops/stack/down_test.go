package stack_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

// stop runs stack:down.
func (w *world) stop(volumes, dry bool) stack.DownResult {
	w.T.Helper()
	result, err := w.use().Down(w.T.Context(), stack.DownOptions{Volumes: volumes, DryRun: dry})
	w.silentStack(result, err)
	if err != nil {
		w.T.Fatal(err)
	}
	if result.Project != "shop" || result.Volumes != volumes || result.DryRun != dry {
		w.T.Errorf("result %+v", result)
	}
	return result
}

func TestDown_StopsWhatIsThere(t *testing.T) {
	w := newWorld(t)
	if w.stop(false, false); len(w.downs) != 0 {
		t.Error("Compose was run for nothing")
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := w.stop(false, true); len(w.downs) != 0 || !slices.Equal(result.Containers, []string{"shop-api-1", "shop-db-1", "shop-setup-1"}) {
		t.Errorf("dry run: %+v, ran %v", result, w.downs)
	}
	w.stop(false, false)
	w.stop(true, false)
	if !slices.Equal(w.downs, []bool{false, true}) {
		t.Errorf("ran with volumes: %v", w.downs)
	}
}

func TestDown_RemovesVolumesThatContainersLeft(t *testing.T) {
	w := newWorld(t)
	if w.stop(true, true); len(w.downs) != 0 {
		t.Errorf("a dry run ran Compose: %v", w.downs)
	}
	if result := w.stop(true, false); !slices.Equal(w.downs, []bool{true}) || len(result.Containers) > 0 {
		t.Errorf("ran %v, %+v", w.downs, result)
	}
}

func TestDown_GivesComposeTheProjectsFileAlone(t *testing.T) {
	w := started(t)
	w.env["SHOP_PORT"], w.env["TOKEN"] = "9000", "exported-by-mistake"
	before := w.Tree()
	w.stop(false, false)
	c := w.down[0]
	if c.Project != "shop" || c.Dir != w.Dir || c.EnvFile != "" || !slices.Equal(c.Files, []string{w.Dir + "/docker-compose.yml"}) {
		t.Errorf("Compose was given %+v", c)
	}
	if want := map[string]string{"SHOP_PORT": "9000"}; !maps.Equal(c.Variables, want) {
		t.Errorf("Compose was given %v, want %v", c.Variables, want)
	}
	w.Same(before)
}

func TestDown_NamesEveryContainerOfTheProject(t *testing.T) {
	w := started(t)
	w.extra = []docker.Container{
		{ID: "x1", Name: "shop-left-1", Service: "left"},
		{ID: "x2", Name: "shop-api-2", Service: "api", State: "exited"},
		{ID: "x3", Name: "shop-api-run-1", Service: "api", Labels: map[string]string{docker.LabelOneOff: "True"}},
	}
	if result := w.stop(false, true); !slices.Equal(result.Containers, []string{"shop-api-1", "shop-api-2", "shop-db-1", "shop-left-1", "shop-setup-1"}) {
		t.Errorf("containers %q", result.Containers)
	}
}

func TestDown_ReturnsTheErrorOfCompose(t *testing.T) {
	for name, spoil := range map[string]func(*world){"cannot be had": func(w *world) { w.composeErr = errLost }, "fails": func(w *world) { w.downErr = errLost }} {
		w := started(t)
		spoil(w)
		result, err := w.use().Down(t.Context(), stack.DownOptions{})
		if !errors.Is(err, errLost) || len(result.Containers) != 3 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}
