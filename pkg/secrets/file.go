package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Docker returns a source over the files that Docker mounts, one per secret.
// An empty dir means /run/secrets (on Windows, C:\ProgramData\Docker\secrets).
// See [Dir] for how the files are read.
func Docker(dir string) Source {
	if dir == "" {
		dir = dockerDir
	}
	return &dirSource{dir: dir, kind: KindDocker}
}

// Dir returns a source over a directory with one file per secret, which has
// the secret's name. An empty dir means ./secrets. If the directory, or the
// file in it, does not exist, the secret is absent.
//
// A file is read as it is: nothing is trimmed. Symlinks are followed inside
// the directory, as Kubernetes creates them, but never out of it; an absolute
// symlink counts as leading out. It is an error if the file is a directory, a
// pipe, a socket, a device or a dangling symlink, if it is empty or larger
// than [MaxSize], or if the process may not read it.
func Dir(dir string) Source {
	if dir == "" {
		dir = "secrets"
	}
	return &dirSource{dir: dir, kind: KindFile}
}

type dirSource struct {
	dir  string
	kind Kind
}

// Lookup implements Source.
func (d *dirSource) Lookup(name string) (Found, error) {
	held := &heldDir{dirSource: *d}
	defer held.close()
	return held.Lookup(name)
}

// heldDir is a dirSource with the directory kept open from the first lookup
// until close.
type heldDir struct {
	dirSource
	root   *os.Root
	absent bool  // the directory does not exist
	err    error // why the directory cannot be opened
}

func (h *heldDir) close() {
	if h.root != nil {
		_ = h.root.Close()
	}
}

// Lookup implements Source.
func (h *heldDir) Lookup(name string) (Found, error) {
	found := Found{Kind: h.kind, Place: h.place(name)}
	if err := ValidName(name); err != nil {
		return found, err
	}
	h.open()
	if h.absent {
		return found, &absence{[]string{found.Place}}
	}
	if h.err != nil {
		return found, unreadable(found.Place, h.err)
	}
	data, err := h.read(name, found.Place)
	found.Value = own(data)
	return found, err
}

// open opens the directory, once. A dangling symlink does not count as an
// absent directory.
func (h *heldDir) open() {
	if h.root != nil || h.err != nil || h.absent {
		return
	}
	h.root, h.err = os.OpenRoot(h.dir)
	h.absent = errors.Is(h.err, fs.ErrNotExist) && !exists(h.dir)
}

// place is the path as a person would write it.
func (h *heldDir) place(name string) string {
	path := filepath.Join(h.dir, name)
	if filepath.IsAbs(path) || strings.HasPrefix(path, "..") {
		return path
	}
	return "." + string(filepath.Separator) + path
}

// read reads one file below the root. A name that exists but cannot be opened
// is unreadable, even when the error is "does not exist": then it is a
// dangling symlink.
func (h *heldDir) read(name, place string) ([]byte, error) {
	file, err := h.root.OpenFile(name, openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, lstatErr := h.root.Lstat(name); lstatErr != nil {
			return nil, &absence{[]string{place}}
		}
		// Kubernetes swaps the target of a symlink; by now it may exist.
		file, err = h.root.OpenFile(name, openFlags, 0)
	}
	if err != nil {
		return nil, unreadable(place, err)
	}
	defer func() { _ = file.Close() }()
	return readRegular(place, file)
}

// readPath reads the file that a variable names, wherever it is.
func readPath(place, path string) ([]byte, error) {
	file, err := os.OpenFile(path, openFlags, 0)
	if err != nil {
		return nil, unreadable(place, err)
	}
	defer func() { _ = file.Close() }()
	return readRegular(place, file)
}

// readRegular reads a whole regular file of 1 to MaxSize bytes.
func readRegular(place string, file *os.File) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, unreadable(place, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(place, info.Mode())
	}
	// Reading one byte more than the limit detects a file that grows. The size
	// is only a hint: some file systems report 0.
	data := make([]byte, 0, min(info.Size(), MaxSize)+1)
	for len(data) <= MaxSize {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := file.Read(data[len(data):min(cap(data), MaxSize+1)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(place, err)
		}
	}
	if err := checkSize(place, len(data), MaxSize); err != nil {
		return nil, err
	}
	return data, nil
}

func notRegular(place string, mode fs.FileMode) error {
	f := &fault{class: ErrUnreadable, place: place}
	switch {
	case mode.IsDir():
		f.reason = "is a directory, not a file"
		f.hint = "docker creates a directory when the file of a bind mount is missing: remove it, create the file, start again"
	case mode&fs.ModeNamedPipe != 0:
		f.reason = "is a pipe, not a file"
	case mode&fs.ModeSocket != 0:
		f.reason = "is a socket, not a file"
	default:
		f.reason = "is a device, not a file"
	}
	return f
}

// unreadable says why the system did not open or read a file. The path in err
// is dropped: place has it already, or must not show it.
func unreadable(place string, err error) error {
	f := &fault{class: ErrUnreadable, place: place}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.reason = "permission denied"
		f.hint = "let the user of this process read the file and search its directory"
		if uid := os.Geteuid(); uid >= 0 {
			f.hint = fmt.Sprintf("let uid %d, which this process runs as, read the file and search its directory", uid)
		}
	case errors.Is(err, fs.ErrNotExist):
		f.reason = "leads to a file that does not exist"
	case isEscape(err):
		f.reason = "is a symlink that leads out of its directory"
		f.hint = "put the file itself there, or a relative symlink inside the directory"
	case isSpecial(err):
		f.reason = "is a socket, a pipe or a device, not a file"
	default:
		f.reason = err.Error()
	}
	return f
}

// isEscape recognises the error of os.Root for a path that escapes; it is not
// exported.
func isEscape(err error) bool { return strings.Contains(err.Error(), "escapes from parent") }

// exists reports whether something is at path, even a dangling symlink.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
