package build

import (
	"fmt"

	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/ops/images"
)

// showImages prints what became of each image.
func showImages(c *console.Console, result images.Result) error {
	var rows [][]string
	for _, one := range result.Images {
		action := string(one.Action)
		if result.DryRun && one.Action != images.Unchanged && one.Action != images.Present {
			action = "would be " + action
		}
		size := ""
		if one.Size > 0 {
			size = fmt.Sprintf("%.1f MB", float64(one.Size)/1e6)
		}
		rows = append(rows, []string{one.Image, action, size})
	}
	return c.Table([]string{"IMAGE", "CHANGE", "SIZE"}, rows)
}
