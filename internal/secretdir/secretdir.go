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
const MaxSize = secrets.MaxSize

// Dir is a directory of values. One that does not exist yet is empty, and
// the first write or lock makes it. Close it.
type Dir struct {
	Progress fault.Progress // hears that another command holds the lock; nil: nothing is said

	path string // as the user wrote it, slash-separated, for messages
	name string // as the system names it
	root *os.Root
	hooks
}

// Open opens the directory at path and, where it exists, sets its mode to
// 0700. It refuses a symbolic link and anything that is not a directory.
func Open(path string) (*Dir, error) {
	d, err := Look(path)
	if err != nil || d.root == nil {
		return d, err
	}
	if err := d.root.Chmod(".", dirMode); err != nil {
		d.Close()
		return nil, d.fault("cannot be made private", "", err)
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

// ensure makes the directory if it does not exist.
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

// lock takes the directory's lock for one command and returns the function
// that gives it back. It waits ten seconds at most.
func (d *Dir) lock(ctx context.Context) (unlock func(), err error) {
	if err := d.ensure(); err != nil {
		return nil, err
	}
	if _, err := d.lockFile(); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(d.root.Name(), lockName), flock.SetPermissions(tmpMode))
	return d.acquire(ctx, lock, lock.TryLock, lock.TryLockContext)
}

// lockFile reports whether the lock's file is there, and refuses anything else in
// its place.
func (d *Dir) lockFile() (there bool, err error) {
	info, err := d.root.Lstat(lockName)
	if err != nil {
		return false, nil
	}
	if !info.Mode().IsRegular() {
		return true, &fault.Error{Code: fault.Invalid, What: d.path + "/" + lockName + " is not a regular file", Next: "rm -r " + d.path + "/" + lockName}
	}
	return true, nil
}

// share takes the lock for reading, together with other readers. A
// directory that was never locked has no lock file; then no command writes, and
// ok is false.
func (d *Dir) share(ctx context.Context) (unlock func(), ok bool, err error) {
	if d.root == nil {
		return nil, false, nil
	}
	if there, err := d.lockFile(); !there || err != nil {
		return nil, false, err
	}
	lock := flock.New(filepath.Join(d.root.Name(), lockName), flock.SetFlag(os.O_RDONLY))
	unlock, err = d.acquire(ctx, lock, lock.TryRLock, lock.TryRLockContext)
	return unlock, err == nil, err
}

// acquire tries a lock, and says so if another command holds it.
func (d *Dir) acquire(ctx context.Context, lock *flock.Flock, try func() (bool, error), wait func(context.Context, time.Duration) (bool, error)) (unlock func(), err error) {
	got, err := try()
	if err == nil && !got {
		if d.Progress != nil {
			d.Progress.Say("another keepmum command holds %s/%s; waiting for it, %s at most", d.path, lockName, lockWait)
		}
		waiting, cancel := context.WithTimeout(ctx, lockWait)
		defer cancel()
		got, err = wait(waiting, lockPoll)
	}
	switch {
	case ctx.Err() != nil:
		if got {
			_ = lock.Unlock()
		}
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
	return &fault.Error{Code: class, What: "interrupted before anything in " + d.path + " was changed", Next: "run the same command again", Cause: ctx.Err()}
}

// Snapshot reads everything in the directory. It waits for a command that
// writes, and none writes meanwhile.
func (d *Dir) Snapshot(ctx context.Context) (*project.Snapshot, error) {
	for {
		unlock, locked, err := d.share(ctx)
		if err != nil {
			return nil, err
		}
		snapshot, err := d.snapshot()
		if locked {
			unlock()
		}
		if err != nil || locked || d.root == nil {
			return snapshot, err
		}
		if there, err := d.lockFile(); !there {
			return snapshot, err // no other command has begun to write
		}
	}
}

// Update takes the directory's lock, reads everything, asks change what to
// write and remove, and does it. What is written is written whole or not at
// all, as far as that can be known beforehand: names, sizes and what is in the
// way are checked first.
func (d *Dir) Update(ctx context.Context, change func(*project.Snapshot) (project.Batch, error)) (*project.Snapshot, error) {
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	snapshot, err := d.snapshot()
	if err != nil {
		return nil, err
	}
	batch, err := change(snapshot)
	if err != nil {
		return snapshot, err
	}
	if len(batch.Write) > 0 {
		if err := d.write(ctx, batch.Write); err != nil {
			return snapshot, err
		}
	}
	for _, name := range batch.Remove {
		if err := d.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return snapshot, err
		}
	}
	return snapshot.After(batch, time.Now()), nil
}

// snapshot reads the directory, each value once.
func (d *Dir) snapshot() (*project.Snapshot, error) {
	s := &project.Snapshot{Dir: d.path, Exists: d.root != nil, Values: map[string]project.Value{}}
	if d.root == nil {
		return s, nil
	}
	info, err := d.root.Stat(".")
	if err != nil {
		return nil, d.fault("cannot be looked at", "", err)
	}
	s.Mode = info.Mode().Perm()
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case secrets.ValidName(name) == nil:
			value := d.read(name)
			if errors.Is(value.Err, fs.ErrNotExist) {
				continue // it was removed by hand meanwhile
			}
			s.Values[name] = value
		case !scaffold(name):
			s.Strays = append(s.Strays, name)
		}
	}
	return s, nil
}

// scaffold reports whether an entry that is not a value belongs here: anything
// else has a name that is not valid, or is a temporary file of a write that was
// cut off.
func scaffold(name string) bool {
	switch name {
	case lockName, ".gitignore", ".gitkeep", ".environment", ".previous", "README.md":
		return true
	}
	return strings.HasSuffix(name, ".example")
}

// entries reads the directory, sorted by name.
func (d *Dir) entries() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, d.fault("cannot be read", "", err)
	}
	return entries, nil
}

// read returns the value of name. An error that is not fs.ErrNotExist is a
// *fault.Error with the code Invalid.
func (d *Dir) read(name string) project.Value {
	info, err := d.regular(name)
	if err != nil {
		return project.Value{Err: err}
	}
	value := project.Value{Written: info.ModTime(), Mode: info.Mode().Perm()}
	content, err := readUpTo(d.root, name, MaxSize)
	switch {
	case err != nil:
		value.Err = d.fault("cannot be read", name, err)
	case len(content) > MaxSize:
		value.Err = &fault.Error{Code: fault.Invalid, What: d.at(name) + " is larger than 511999 bytes, the most that Swarm keeps in a secret", Next: "mage secrets:set " + name, Cause: project.ErrContent}
	case len(content) == 0:
		value.Err = &fault.Error{Code: fault.Invalid, What: d.at(name) + " is empty", Next: "mage secrets:set " + name, Cause: project.ErrContent}
	default:
		value.Secret = secrets.New(content)
	}
	return value
}

// readUpTo reads a file, at most one byte more than limit.
func readUpTo(root *os.Root, name string, limit int64) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// regular checks the name and that it is a regular file.
func (d *Dir) regular(name string) (fs.FileInfo, error) {
	if err := secrets.ValidName(name); err != nil {
		return nil, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "use letters, digits and _"}
	}
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist: %w", d.at(name), fs.ErrNotExist)
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

// remove removes the value of name. The error matches fs.ErrNotExist if there is
// none.
func (d *Dir) remove(name string) error {
	if _, err := d.regular(name); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return d.fault("cannot be removed", name, err)
	}
	return d.settle()
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

// reason is the system's text of an error, without the paths around it.
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
