package secretdir

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// writers is how many files are written and synced at a time: the disk joins
// syncs that come together.
const writers = 16

// write puts every value in place, or none as far as that can be known beforehand:
// names, sizes and what is in the way are checked first, then all
// temporary files are written and synced, and only then the first is renamed.
// The caller holds the lock.
func (d *Dir) write(ctx context.Context, values map[string]secrets.Secret) error {
	names := slices.Sorted(maps.Keys(values))
	if err := d.writable(names, values); err != nil {
		return err
	}
	if err := d.ensure(); err != nil {
		return err
	}
	if err := d.tidy(); err != nil {
		return err
	}
	batch := rand.Text()[:12]
	temporary := func(name string) string { return "." + name + "." + batch + ".tmp" }
	done := 0
	defer func() {
		for _, name := range names[done:] {
			_ = d.root.Remove(temporary(name))
		}
	}()
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for _, name := range names {
		group.Go(func() error {
			if err := inGroup.Err(); err != nil {
				return err
			}
			defer d.stepped()
			if err := d.create(d.root, temporary(name), values[name].Reveal(), valueMode); err != nil {
				return d.fault("cannot be written, and no value was changed", name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return d.stopped(ctx)
	}
	for _, name := range names {
		if err := d.root.Rename(temporary(name), name); err != nil {
			return d.fault("cannot be put in place", name, err)
		}
		done++
		d.stepped()
	}
	return d.settle()
}

// writable reports everything that is known to be in the way of a write.
func (d *Dir) writable(names []string, values map[string]secrets.Secret) error {
	var findings []fault.Finding
	find := func(name, problem, next string) {
		findings = append(findings, fault.Finding{File: d.at(name), Subject: name, Problem: problem, Next: next})
	}
	for _, name := range names {
		if secrets.ValidName(name) != nil {
			findings = append(findings, fault.Finding{File: d.path, Problem: "a name is not letters, digits and _", Next: "rename the secret"})
			continue
		}
		switch size := len(values[name].Reveal()); {
		case size == 0:
			find(name, "the value is empty", "mage secrets:set "+name)
		case size > MaxSize:
			find(name, "the value is larger than 511999 bytes, the most that Swarm keeps in a secret", "mage secrets:set "+name)
		}
		if d.root == nil {
			continue
		}
		if info, err := d.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			find(name, "something that is not a regular file is in the way", "rm -r "+d.at(name))
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "nothing was written to " + d.path, Findings: findings, Next: findings[0].Next}
}

// hooks are for tests; their zero value is what every command uses.
type hooks struct {
	step  func()               // called after each step of a write; nil: nothing is called
	fsync func(*os.File) error // nil: (*os.File).Sync
}

func (h hooks) stepped() {
	if h.step != nil {
		h.step()
	}
}

func (h hooks) sync(file *os.File) error {
	if h.fsync != nil {
		return h.fsync(file)
	}
	return file.Sync()
}

// create writes and syncs a file that does not exist yet. Until it is whole
// only its owner can read it; if that fails, it is removed.
func (h hooks) create(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, tmpMode)
	if err != nil {
		return err
	}
	h.stepped()
	_, err = file.Write(data)
	h.stepped()
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = h.sync(file)
	}
	if err = cmp.Or(err, file.Close()); err != nil {
		_ = root.Remove(name)
	}
	return err
}

// tidy removes the temporary files of writes that were cut off. The caller
// holds the lock.
func (d *Dir) tidy() error {
	entries, err := d.entries()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp") && entry.Type().IsRegular() {
			if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return d.fault("holds a temporary file that cannot be removed", "", err)
			}
		}
	}
	return nil
}

// settle makes renames and removals in the directory last through a power
// failure.
func (d *Dir) settle() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return d.fault("cannot be synced", "", err)
	}
	defer dir.Close()
	if err := d.sync(dir); err != nil {
		return d.fault("cannot be synced", "", err)
	}
	return nil
}
