package secretdir

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sort"
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
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
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
			return d.place(temporary(name), name, values[name])
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
	return d.sync()
}

// stepped lets a test of crashes know that a step was taken.
func (d *Dir) stepped() {
	if d.step != nil {
		d.step()
	}
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

// place writes and syncs the temporary file of name, mode 0444. It must not
// exist yet. No file has been renamed by then, so that a fault changes nothing.
func (d *Dir) place(temporary, name string, value secrets.Secret) error {
	const fault = "cannot be written, and no value was changed"
	file, err := d.root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, tmpMode)
	if err != nil {
		return d.fault(fault, name, err)
	}
	d.stepped()
	_, err = file.Write(value.Reveal())
	d.stepped()
	if err == nil {
		err = file.Chmod(valueMode)
	}
	if err == nil {
		err = file.Sync()
	}
	if failed := file.Close(); err == nil {
		err = failed
	}
	if err != nil {
		_ = d.root.Remove(temporary)
		return d.fault(fault, name, err)
	}
	return nil
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

// sync makes renames and removals of the directory last through a power
// failure.
func (d *Dir) sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return d.fault("cannot be synced", "", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return d.fault("cannot be synced", "", err)
	}
	return nil
}
