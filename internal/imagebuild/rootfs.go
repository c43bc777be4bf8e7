package imagebuild

import (
	"archive/tar"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is one file of a root file system.
type entry struct {
	kind byte   // tar.TypeReg, tar.TypeDir or tar.TypeSymlink
	mode int64  // permission bits, with setuid, setgid and sticky
	uid  int    //
	gid  int    //
	link string // target of a symbolic link
	data []byte // content of a regular file
}

// rootfs is a root file system, or a layer of one: entries by path, without a
// leading slash. Missing parents become directories of root, 0755.
type rootfs map[string]entry

// file adds a regular file of root.
func (r rootfs) file(name string, mode int64, data []byte) {
	r[name] = entry{kind: tar.TypeReg, mode: mode, data: data}
}

// dir adds a directory.
func (r rootfs) dir(name string, mode int64, uid, gid int) {
	r[name] = entry{kind: tar.TypeDir, mode: mode, uid: uid, gid: gid}
}

// symlink adds a symbolic link.
func (r rootfs) symlink(name, target string) {
	r[name] = entry{kind: tar.TypeSymlink, mode: 0o777, link: target}
}

// addSystem adds the files of a small system: links of the top directories into
// usr, busybox under the names of its applets, and directories that programs
// expect.
func (r rootfs) addSystem(tops, applets string) {
	for _, top := range strings.Fields(tops) {
		r.symlink(top, "usr/"+top)
	}
	for _, applet := range strings.Fields(applets) {
		r.symlink("usr/bin/"+applet, "busybox")
	}
	r.symlink("var/run", "/run")
	r.dir("tmp", 0o1777, 0, 0)
	r.dir("root", 0o700, 0, 0)
}

// epoch is the time of every file and image, so that two builds are the same.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// writeTar writes the file system as a tar stream: sorted, with fixed times and
// no user names, so that equal file systems give equal bytes.
func (r rootfs) writeTar(w io.Writer) error {
	all := maps.Clone(r)
	for name := range r {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := r[dir]; !ok {
				all.dir(dir, 0o755, 0, 0)
			}
		}
	}
	out := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		header := &tar.Header{
			Typeflag: e.kind, Name: name, Linkname: e.link, Mode: e.mode, Uid: e.uid, Gid: e.gid,
			Size: int64(len(e.data)), ModTime: epoch(), Format: tar.FormatPAX,
		}
		if e.kind == tar.TypeDir {
			header.Name += "/"
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(e.data); err != nil {
			return err
		}
	}
	return out.Close()
}

// readTar adds the entries of a tar stream under the names that keep returns; ""
// leaves an entry out. Hard links become separate files. Owners are dropped:
// files from a package belong to root.
func (r rootfs) readTar(stream io.Reader, keep func(name string) string) error {
	in := tar.NewReader(stream)
	originals := map[string]string{} // by name in the stream, the name here
	for {
		header, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		clean := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		name := keep(clean)
		if name == "" {
			continue
		}
		originals[clean] = name
		switch header.Typeflag {
		case tar.TypeReg:
			data, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			r.file(name, header.Mode&0o755, data)
		case tar.TypeLink:
			if e, ok := r[originals[strings.TrimPrefix(path.Clean("/"+header.Linkname), "/")]]; ok {
				r[name] = e
			}
		case tar.TypeSymlink:
			r.symlink(name, header.Linkname)
		}
	}
}
