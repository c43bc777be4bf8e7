package secretdir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
)

const (
	keyPath    = ".keepmum/key"
	keyIgnore  = ".keepmum/.gitignore"
	maxFile    = 16 << 20
	publicMode = 0o644
)

// Project is the directory that holds the compose file: its files are read and
// replaced through it, and never one outside it by way of a symbolic link.
type Project struct {
	root    *os.Root
	keyFile string // KEEPMUM_KEY_FILE, or empty
	hooks
}

// OpenProject opens the project at dir. A keyFile that is not empty names the
// key of DESIGN section 7 in place of .keepmum/key.
func OpenProject(dir, keyFile string) (*Project, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: "the project directory cannot be opened: " + reason(err), Next: "run keepmum in the directory of docker-compose.yml", Cause: err}
	}
	return &Project{root: root, keyFile: keyFile}, nil
}

// Close closes the project.
func (p *Project) Close() error { return p.root.Close() }

// Read returns the bytes of a file, 16 MiB at most. A path inside the project
// may be a symbolic link to another place inside it; a path outside, which the
// user named, may be one inside its own directory. The error matches
// fs.ErrNotExist if there is no such file.
func (p *Project) Read(path string) ([]byte, error) {
	root, name, done, err := p.locate(path)
	if err != nil {
		return nil, err
	}
	defer done()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist: %w", filepath.ToSlash(path), fs.ErrNotExist)
	case err != nil:
		return nil, unreadable(path, err)
	case info.IsDir():
		return nil, &fault.Error{Code: fault.Invalid, What: filepath.ToSlash(path) + " is a directory where a file should be", Next: "name the file: -file=PATH"}
	case !info.Mode().IsRegular():
		return nil, &fault.Error{Code: fault.Invalid, What: filepath.ToSlash(path) + " is not a regular file", Next: "name the file: -file=PATH"}
	}
	data, err := readUpTo(root, name, maxFile)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > maxFile {
		return nil, &fault.Error{Code: fault.Invalid, What: filepath.ToSlash(path) + " is larger than 16 MiB", Next: "name the right file: -file=PATH"}
	}
	return data, nil
}

// unreadable is the error of a file that is there and cannot be read.
func unreadable(path string, err error) error {
	next := "check its owner and mode: ls -l " + filepath.ToSlash(path)
	why := reason(err)
	if strings.Contains(why, "escapes") {
		why, next = "it is a symbolic link that leaves its directory", "put the file itself in its place"
	}
	return &fault.Error{Code: fault.Invalid, What: filepath.ToSlash(path) + " cannot be read: " + why, Next: next, Cause: err}
}

// locate finds the root that a path is read under, and its name there.
func (p *Project) locate(path string) (root *os.Root, name string, done func(), err error) {
	if filepath.IsLocal(path) {
		return p.root, path, func() {}, nil
	}
	outside, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil, fmt.Errorf("%s does not exist: %w", filepath.ToSlash(path), fs.ErrNotExist)
		}
		return nil, "", nil, unreadable(path, err)
	}
	return outside, filepath.Base(path), func() { outside.Close() }, nil
}

// Replace puts data in the place of a file by an atomic rename and keeps the
// file's mode. It refuses a symbolic link: the rename would replace the link.
func (p *Project) Replace(path string, data []byte) error {
	root, name, done, err := p.locate(path)
	if err != nil {
		return err
	}
	defer done()
	mode, err := replaced(root, name, path)
	if err != nil {
		return err
	}
	return p.replace(root, name, data, mode)
}

// Replaceable returns the error that Replace would return as far as that can be
// known: that a link is there, or that nothing can be written next to the
// file. It leaves everything as it is.
func (p *Project) Replaceable(path string) error {
	root, name, done, err := p.locate(path)
	if err != nil {
		return err
	}
	defer done()
	if _, err := replaced(root, name, path); err != nil {
		return err
	}
	temporary := temporaryOf(name)
	file, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, tmpMode)
	if err != nil {
		return unwritable(name, err)
	}
	_ = file.Close()
	if err := root.Remove(temporary); err != nil {
		return unwritable(name, err)
	}
	return nil
}

// replaced returns the mode of what is to take the place of a file; the error
// has the code Invalid if that is not a regular file.
func replaced(root *os.Root, name, path string) (fs.FileMode, error) {
	shown := filepath.ToSlash(path)
	info, err := root.Lstat(name)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		return 0, &fault.Error{Code: fault.Invalid, What: shown + " is a symbolic link and is not replaced", Next: "name the file that it leads to: -file=PATH"}
	case err == nil && !info.Mode().IsRegular():
		return 0, &fault.Error{Code: fault.Invalid, What: shown + " is not a regular file", Next: "name a file: -file=PATH"}
	case err == nil:
		return info.Mode().Perm(), nil
	case !errors.Is(err, fs.ErrNotExist):
		return 0, unreadable(path, err)
	}
	return publicMode, nil
}

// temporaryOf names the file next to another that is renamed over it.
func temporaryOf(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:12]+".tmp")
}

// replace writes and syncs a file next to another, and renames it over that one.
func (p *Project) replace(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	temporary := temporaryOf(name)
	if err := p.create(root, temporary, data, mode); err != nil {
		return unwritable(name, err)
	}
	if err := root.Rename(temporary, name); err != nil {
		_ = root.Remove(temporary)
		return unwritable(name, err)
	}
	return nil
}

// unwritable is the error of a file that the system did not let us write.
func unwritable(path string, err error) error {
	shown := filepath.ToSlash(path)
	return &fault.Error{Code: fault.Failed, What: shown + " cannot be written: " + reason(err), Next: "check owner, mode and free space: ls -la " + filepath.ToSlash(filepath.Dir(path)) + " && df .", Cause: err}
}

// Scaffold writes a file that does not exist yet, with its parents, and tells
// whether it did. A file that is there stays as it is.
func (p *Project) Scaffold(path string, data []byte) (made bool, err error) {
	if _, err := p.root.Lstat(path); err == nil {
		return false, nil
	}
	mode := fs.FileMode(0o755)
	if first, _, _ := strings.Cut(filepath.ToSlash(path), "/"); first == ".keepmum" || first == "secrets" {
		mode = dirMode
	}
	if err := p.root.MkdirAll(filepath.Dir(path), mode); err != nil {
		return false, unwritable(path, err)
	}
	return true, p.replace(p.root, path, data, publicMode)
}

// Key returns the project's key. If there is none, create makes it, exclusively
// and with mode 0600, and made says so; without create, or with KEEPMUM_KEY_FILE
// set, that is an error that matches fs.ErrNotExist.
func (p *Project) Key(create bool) (key fingerprint.Key, made bool, err error) {
	create = create && p.keyFile == ""
	if create {
		if _, err := p.Scaffold(keyIgnore, []byte("*\n")); err != nil {
			return key, false, err
		}
	}
	key, err = p.readKey()
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if made, err = p.makeKey(); err != nil {
		return key, false, err
	}
	key, err = p.readKey()
	return key, made, err
}

// readKey reads the key.
func (p *Project) readKey() (fingerprint.Key, error) {
	path, next := keyPath, "mage secrets:init"
	if p.keyFile != "" {
		path, next = p.keyFile, "set KEEPMUM_KEY_FILE to the key's file, or unset it"
	}
	shown := filepath.ToSlash(path)
	data, err := p.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fingerprint.Key{}, &fault.Error{Code: fault.Invalid, What: shown + " does not exist: it keys the digests that show which service holds which value", Next: next, Cause: err}
	}
	if err != nil {
		return fingerprint.Key{}, err
	}
	key, err := fingerprint.NewKey(data)
	if err != nil {
		return fingerprint.Key{}, &fault.Error{Code: fault.Invalid, What: shown + ": " + err.Error(), Next: "restore it from where the team keeps it, or remove it and run mage secrets:init"}
	}
	return key, nil
}

// makeKey makes the key unless another command is faster.
func (p *Project) makeKey() (made bool, err error) {
	random := make([]byte, fingerprint.KeySize)
	_, _ = rand.Read(random) // never fails since Go 1.24
	temporary := temporaryOf(keyPath)
	if err := p.create(p.root, temporary, random, tmpMode); err != nil {
		return false, unwritable(keyPath, err)
	}
	defer p.root.Remove(temporary)
	// A link, not a rename: of two commands that make a key, one wins.
	err = p.root.Link(temporary, keyPath)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, unwritable(keyPath, err)
	}
	return true, nil
}
