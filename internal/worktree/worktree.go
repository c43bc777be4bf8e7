// Package worktree asks git which files of the project it tracks and ignores.
// It calls the git binary, which reads every index format and every ignore file
// as the project's people do.
package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// limit is how long git may take.
const limit = 20 * time.Second

// ErrNone is the error of Ignored if git is not installed or the directory is
// not in a git work tree. It matches errors.ErrUnsupported.
var ErrNone = fmt.Errorf("not a git work tree: %w", errors.ErrUnsupported)

// Git answers for the repository that holds Dir.
type Git struct {
	Dir string
}

// Tracked returns those of the paths that the index holds. Without git, or
// outside a repository, nothing is tracked.
func (g Git) Tracked(ctx context.Context, paths []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	git, err := g.binary(ctx)
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
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
	for _, name := range fieldsOf(out) {
		if name != "" {
			tracked = append(tracked, strings.ToValidUTF8(name, "?"))
		}
	}
	return tracked, nil
}

// Ignored returns those of the paths that a .gitignore of the repository
// covers, in the order given, whether or not they exist or are tracked. What
// covers a path on this machine only (.git/info/exclude, core.excludesFile)
// does not count. A path that does not exist counts as a file, not a folder.
// The error is ErrNone if there is no git to ask.
func (g Git) Ignored(ctx context.Context, paths []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	git, err := g.binary(ctx)
	if err != nil {
		return nil, err
	}
	check := exec.CommandContext(ctx, git, "check-ignore", "--no-index", "--verbose", "-z", "--stdin")
	check.Dir, check.Stdin = g.Dir, strings.NewReader(strings.Join(paths, "\x00"))
	out, err := check.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil // no path is ignored
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &fault.Error{Code: fault.Failed, What: "git cannot say which files it ignores", Next: "git check-ignore -v .env", Cause: errors.New("git check-ignore failed")}
	}
	// Four fields for each path: the file of the rule, its line, the rule (with
	// ! if it includes the path again), and the path.
	var ignored []string
	for fields := fieldsOf(out); len(fields) >= 4; fields = fields[4:] {
		ours := filepath.Base(fields[0]) == ".gitignore" && !filepath.IsAbs(fields[0])
		if ours && !strings.HasPrefix(fields[2], "!") {
			ignored = append(ignored, fields[3])
		}
	}
	return ignored, nil
}

// binary returns the path of git if it is there and Dir is in a work tree, or
// ErrNone.
func (g Git) binary(ctx context.Context) (string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return "", ErrNone
	}
	inside := exec.CommandContext(ctx, git, "rev-parse", "--is-inside-work-tree")
	inside.Dir = g.Dir
	if err := inside.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", ErrNone
	}
	return git, nil
}

// fieldsOf splits git's output of option -z.
func fieldsOf(out []byte) []string {
	return strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00")
}
