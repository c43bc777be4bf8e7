// Package worktree asks git about the project's files. It runs the git binary,
// which users of the project have and which supports every index format.
package worktree

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// limit is how long git may take.
const limit = 20 * time.Second

// Git is the repository that contains Dir.
type Git struct {
	Dir string
}

// Tracked returns those of the paths that are in the index: none without git or
// outside a repository.
func (g Git) Tracked(ctx context.Context, paths []string) ([]string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inside := exec.CommandContext(ctx, git, "rev-parse", "--is-inside-work-tree")
	inside.Dir = g.Dir
	if err := inside.Run(); err != nil {
		return nil, ctx.Err()
	}
	list := exec.CommandContext(ctx, git, append([]string{"--literal-pathspecs", "ls-files", "-z", "--"}, paths...)...)
	list.Dir = g.Dir
	out, err := list.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &fault.Error{Code: fault.Failed, What: "git cannot list the files that it tracks", Next: "git ls-files", Cause: errors.New("git ls-files failed")}
	}
	var tracked []string
	for _, name := range bytes.Split(bytes.TrimRight(out, "\x00"), []byte{0}) {
		if len(name) > 0 {
			tracked = append(tracked, strings.ToValidUTF8(string(name), "?"))
		}
	}
	return tracked, nil
}
