// Package secretdir keeps values on disk: the directory secrets/ of DESIGN
// section 6, and the project's key.
//
// # Promises
//
// The directory is 0700 and each value 0444: the directory keeps other users
// of the host out, the file mode lets a container's user read its mount. A
// clone or an `echo >` breaks these modes, so Open sets the directory's again.
//
// A write goes to a temporary file .NAME.*.tmp (0600) in the same directory,
// is synced, renamed over NAME, and the directory is synced. After a crash
// each value is the old or the new one, never torn; a batch may be mixed, and
// the next batch removes what temporary files are left. Every temporary file of a
// batch is written and synced before the first rename, so a full disk changes
// nothing.
//
// Nothing outside the directory is ever read or written through it: names are
// checked, symbolic links are refused, and all access goes through os.Root.
//
// # Not promised
//
// Windows has no such modes and no way to sync a directory; there the
// directory's access list is what it inherits.
package secretdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	dirMode   = 0o700
	valueMode = 0o444
	tmpMode   = 0o600
	lockName  = ".lock"
	lockWait  = 10 * time.Second
	lockPoll  = 50 * time.Millisecond
)

// MaxSize is the greatest size of a value, in bytes.
const MaxSize = 511_999

// Dir is a directory of values. Where it does not exist yet it is empty, and
// the first write or lock makes it. Close it.
type Dir struct {
	Progress fault.Progress // hears that another command holds the lock; nil: nobody

	path string // as the user wrote it, slash-separated, for messages
	name string // as the system names it
	root *os.Root
	step func() // called after each step of a write; nil but in tests of crashes
}

// Open opens the directory at path and, where it exists, sets its mode to
// 0700. It refuses a symbolic link and anything that is not a directory.
func Open(path string) (*Dir, error) {
	d, err := Look(path)
	if err != nil || d.root == nil {
		return d, err
	}
	if err := d.private(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Look opens the directory like Open and changes nothing, not even its mode.
func Look(path string) (*Dir, error) {
	d := &Dir{path: filepath.ToSlash(path), name: path}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, d.fault("cannot be looked at", "", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, &fault.Error{Code: fault.Invalid, What: d.path + " is a symbolic link; values are kept in a real directory", Next: "rm " + d.path + " && mage secrets:init"}
	case !info.IsDir():
		return nil, &fault.Error{Code: fault.Invalid, What: d.path + " is not a directory", Next: "mv " + d.path + " " + d.path + ".old && mage secrets:init"}
	}
	if d.root, err = os.OpenRoot(path); err != nil {
		return nil, d.fault("cannot be opened", "", err)
	}
	return d, nil
}

// private sets the directory's mode.
func (d *Dir) private() error {
	if err := d.root.Chmod(".", dirMode); err != nil {
		return d.fault("cannot be made private", "", err)
	}
	return nil
}

// ensure makes the directory where it does not exist.
func (d *Dir) ensure() error {
	if d.root != nil {
		return nil
	}
	if err := os.MkdirAll(d.name, dirMode); err != nil {
		return d.fault("cannot be made", "", err)
	}
	made, err := Open(d.name)
	if err != nil {
		return err
	}
	d.root = made.root
	return nil
}

// Close closes the directory.
func (d *Dir) Close() error {
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}

// Exists tells whether the directory is there.
func (d *Dir) Exists() bool { return d.root != nil }

// Path returns the directory's path as it was given to Open.
func (d *Dir) Path() string { return d.path }

// Mode returns the directory's permission bits.
func (d *Dir) Mode() (fs.FileMode, error) {
	if d.root == nil {
		return 0, d.absent("")
	}
	info, err := d.root.Stat(".")
	if err != nil {
		return 0, d.fault("cannot be looked at", "", err)
	}
	return info.Mode().Perm(), nil
}

// Lock takes the directory's lock for one command and returns the function
// that gives it back. It waits ten seconds at most.
func (d *Dir) Lock(ctx context.Context) (unlock func(), err error) {
	if err := d.ensure(); err != nil {
		return nil, err
	}
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return nil, &fault.Error{Code: fault.Invalid, What: d.path + "/" + lockName + " is not a regular file", Next: "rm -r " + d.path + "/" + lockName}
	}
	file, err := d.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, tmpMode)
	if err != nil {
		return nil, d.fault("cannot be locked", lockName, err)
	}
	file.Close()
	lock := flock.New(filepath.Join(d.root.Name(), lockName))
	got, err := lock.TryLock()
	if err == nil && !got {
		if d.Progress != nil {
			d.Progress.Say("another keepmum command holds %s/%s; waiting for it, %s at most", d.path, lockName, lockWait)
		}
		waiting, cancel := context.WithTimeout(ctx, lockWait)
		defer cancel()
		got, err = lock.TryLockContext(waiting, lockPoll)
	}
	switch {
	case ctx.Err() != nil:
		return nil, d.stopped(ctx)
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return nil, d.fault("cannot be locked", lockName, err)
	case !got:
		return nil, &fault.Error{Code: fault.Failed, What: "another keepmum command holds " + d.path + "/" + lockName, Next: "wait for it to end, then run this again"}
	}
	return func() { _ = lock.Unlock() }, nil
}

// stopped is the error of a context that ended before the first value was
// changed.
func (d *Dir) stopped(ctx context.Context) error {
	class := fault.Interrupted
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		class = fault.Incomplete
	}
	return &fault.Error{Code: class, What: "interrupted before a value of " + d.path + " was changed", Next: "run the same command again", Cause: ctx.Err()}
}

// Names lists the names that stand in the directory, sorted: every entry that
// is neither hidden, nor a README, nor an example.
func (d *Dir) Names() ([]string, error) {
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); secrets.ValidName(name) == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// Strays lists the entries that are neither values nor part of the scaffold,
// sorted: files whose name is no name, and temporary files of a write that was
// cut off.
func (d *Dir) Strays() ([]string, error) {
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	var strays []string
	for _, entry := range entries {
		name := entry.Name()
		scaffold := name == lockName || name == ".gitignore" || name == ".gitkeep" || name == ".environment" || name == ".previous" ||
			name == "README.md" || strings.HasSuffix(name, ".example")
		if !scaffold && secrets.ValidName(name) != nil {
			strays = append(strays, name)
		}
	}
	sort.Strings(strays)
	return strays, nil
}

// entries reads the directory.
func (d *Dir) entries() ([]fs.DirEntry, error) {
	if d.root == nil {
		return nil, nil
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, d.fault("cannot be read", "", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, d.fault("cannot be read", "", err)
	}
	return entries, nil
}

// Read returns the value of name and when it was last written. The error
// matches fs.ErrNotExist where there is no such file; anything else that keeps
// the value from being read is an *fault.Error of class Invalid.
func (d *Dir) Read(name string) (secrets.Secret, time.Time, error) {
	var none secrets.Secret
	info, err := d.regular(name)
	if err != nil {
		return none, time.Time{}, err
	}
	file, err := d.root.Open(name)
	if err != nil {
		return none, time.Time{}, d.fault("cannot be read", name, err)
	}
	defer file.Close()
	value, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	switch {
	case err != nil:
		return none, time.Time{}, d.fault("cannot be read", name, err)
	case len(value) > MaxSize:
		return none, time.Time{}, &fault.Error{Code: fault.Invalid, What: d.at(name) + " is larger than 511999 bytes, the most that Swarm keeps in a secret", Next: "mage secrets:set " + name, Cause: project.ErrContent}
	case len(value) == 0:
		return none, time.Time{}, &fault.Error{Code: fault.Invalid, What: d.at(name) + " is empty", Next: "mage secrets:set " + name, Cause: project.ErrContent}
	}
	return secrets.New(value), info.ModTime(), nil
}

// ValueMode returns the permission bits of name's file.
func (d *Dir) ValueMode(name string) (fs.FileMode, error) {
	info, err := d.regular(name)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
}

// regular checks the name and that a regular file stands under it.
func (d *Dir) regular(name string) (fs.FileInfo, error) {
	if err := secrets.ValidName(name); err != nil {
		return nil, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "use letters, digits and _"}
	}
	if d.root == nil {
		return nil, d.absent(name)
	}
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, d.absent(name)
	case err != nil:
		return nil, d.fault("cannot be looked at", name, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, &fault.Error{Code: fault.Invalid, What: d.at(name) + " is a symbolic link; a value is a regular file", Next: "rm " + d.at(name) + " && mage secrets:set " + name}
	case info.IsDir():
		return nil, &fault.Error{Code: fault.Invalid, What: d.at(name) + " is a directory where a file should be; docker-compose 1.x makes one when the file is missing", Next: "rm -r " + d.at(name) + " && mage secrets:set " + name}
	case !info.Mode().IsRegular():
		return nil, &fault.Error{Code: fault.Invalid, What: d.at(name) + " is not a regular file", Next: "rm " + d.at(name) + " && mage secrets:set " + name}
	}
	return info, nil
}

// FixModes sets the mode of each named value to 0444 again.
func (d *Dir) FixModes(names []string) error {
	for _, name := range names {
		info, err := d.regular(name)
		if err != nil {
			return err
		}
		if info.Mode().Perm() == valueMode {
			continue
		}
		if err := d.root.Chmod(name, valueMode); err != nil {
			return d.fault("cannot be made readable for containers", name, err)
		}
	}
	return nil
}

// Remove removes the value of name. The error matches fs.ErrNotExist where
// there is none.
func (d *Dir) Remove(name string) error {
	if _, err := d.regular(name); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return d.fault("cannot be removed", name, err)
	}
	return d.sync()
}

// absent is the error of a file that is not there.
func (d *Dir) absent(name string) error {
	return fmt.Errorf("%s does not exist: %w", d.at(name), fs.ErrNotExist)
}

// at names a file of the directory in a message.
func (d *Dir) at(name string) string {
	if name == "" {
		return d.path
	}
	return d.path + "/" + name
}

// fault makes the error of an operation that the system refused.
func (d *Dir) fault(what, name string, err error) error {
	return &fault.Error{Code: fault.Failed, What: d.at(name) + " " + what + ": " + reason(err), Next: "check owner, mode and free space: ls -la " + d.path + " && df " + d.path, Cause: err}
}

// reason is the system's word for an error, without the paths around it.
func reason(err error) string {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err.Error()
	}
	var inLink *os.LinkError
	if errors.As(err, &inLink) {
		return inLink.Err.Error()
	}
	return err.Error()
}
