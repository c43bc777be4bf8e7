package sweep

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree is every file below the root of a file system: content, names and the
// targets of symlinks, which are not followed. Archives are opened. A path that
// matches a pattern in exclude (path.Match on the slash-separated path from the
// root) is skipped, with everything below it; all other files must be readable.
func Tree(name string, root fs.FS, exclude ...string) Surface {
	return Surface{Name: name, read: func(r *reading) error {
		for _, pattern := range exclude {
			if _, err := path.Match(pattern, ""); err != nil {
				return fmt.Errorf("%q is not a valid pattern", pattern)
			}
		}
		if err := r.archives(); err != nil {
			return err
		}
		r.set = append(r.set, canaryDir, "file names")
		r.own += int64(len(r.sweep.canary) + len(canaryDir) + 1)
		return r.tree(planted{root, r.sweep.canary}, exclude)
	}}
}

// mostFailures is the number of unreadable files that an error names.
const mostFailures = 10

func (r *reading) tree(root fs.FS, exclude []string) error {
	names := r.search("file names")
	names.plant = true
	var failures []error
	fail := func(name string, err error) {
		failures = append(failures, fmt.Errorf("%s: %w", name, err))
	}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case err != nil:
			fail(name, err)
			return nil
		case excluded(name, exclude):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case name == ".":
			return nil
		}
		names.mark("name of " + name)
		if _, err := io.WriteString(names, name+"\n"); err != nil {
			return err
		}
		if err := r.entry(root, name, entry, names); err != nil {
			fail(name, err)
		}
		return r.ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := names.finish(); err != nil {
		return err
	}
	if n := len(failures); n > mostFailures {
		failures = append(failures[:mostFailures], fmt.Errorf("and %d more", n-mostFailures))
	}
	return errors.Join(failures...)
}

// entry reads one entry of a tree.
func (r *reading) entry(root fs.FS, name string, entry fs.DirEntry, names *watched) error {
	switch kind := entry.Type(); {
	case kind.IsDir():
		return nil
	case kind&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(root, name)
		if err != nil {
			return err
		}
		names.mark("target of " + name)
		_, err = io.WriteString(names, target+"\n")
		return err
	case !kind.IsRegular():
		r.result.Opaque = append(r.result.Opaque, r.sweep.matcher.String(name)+" (not a file)")
		return nil
	}
	file, err := root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := r.search(name)
	if err := r.through(w, name, file, deepest, false); err != nil {
		return err
	}
	return w.finish()
}

// excluded reports whether a pattern matches the path.
func excluded(name string, patterns []string) bool {
	return name != "." && slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, _ := path.Match(strings.TrimSuffix(pattern, "/"), name)
		return matched
	})
}

// planted is a file system with an additional file in its root: the canary.
type planted struct {
	fs.FS
	canary string
}

// ReadDir adds the canary to the root.
func (p planted) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(p.FS, name)
	if name == "." && err == nil {
		entries = append(entries, fs.FileInfoToDirEntry(canaryFile{p.canary, nil}))
	}
	return entries, err
}

// Open opens a file, or the canary.
func (p planted) Open(name string) (fs.File, error) {
	if name == canaryDir {
		return canaryFile{p.canary, bytes.NewReader([]byte(p.canary))}, nil
	}
	return p.FS.Open(name)
}

// ReadLink reads a symlink of the underlying file system.
func (p planted) ReadLink(name string) (string, error) { return fs.ReadLink(p.FS, name) }

// Lstat describes an entry of the underlying file system, or the canary.
func (p planted) Lstat(name string) (fs.FileInfo, error) {
	if name == canaryDir {
		return canaryFile{p.canary, nil}, nil
	}
	return fs.Lstat(p.FS, name)
}

// canaryFile is the canary as a file and its own FileInfo.
type canaryFile struct {
	canary string
	*bytes.Reader
}

func (f canaryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f canaryFile) Close() error               { return nil }
func (f canaryFile) Name() string               { return canaryDir }
func (f canaryFile) Size() int64                { return int64(len(f.canary)) }
func (f canaryFile) Mode() fs.FileMode          { return 0o444 }
func (f canaryFile) ModTime() time.Time         { return time.Time{} }
func (f canaryFile) IsDir() bool                { return false }
func (f canaryFile) Sys() any                   { return nil }
