package imagebuild

import (
	"archive/tar"
	"io"
	"path"
	"sort"
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
// leading slash. Parents that are not entered are directories of root's, 0755.
type rootfs map[string]entry

// file enters a regular file of root's.
func (r rootfs) file(name string, mode int64, data []byte) {
	r[name] = entry{kind: tar.TypeReg, mode: mode, data: data}
}

// dir enters a directory.
func (r rootfs) dir(name string, mode int64, uid, gid int) {
	r[name] = entry{kind: tar.TypeDir, mode: mode, uid: uid, gid: gid}
}

// symlink enters a symbolic link.
func (r rootfs) symlink(name, target string) {
	r[name] = entry{kind: tar.TypeSymlink, mode: 0o777, link: target}
}

// epoch is the time of every file and image: what is built twice is the same.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// writeTar writes the file system as a tar stream: sorted, with fixed times and
// no names of users, so that equal file systems give equal bytes.
func (r rootfs) writeTar(w io.Writer) error {
	all := rootfs{}
	for name, e := range r {
		all[name] = e
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := r[dir]; !ok {
				all.dir(dir, 0o755, 0, 0)
			}
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	out := tar.NewWriter(w)
	for _, name := range names {
		if err := all[name].writeTo(out, name); err != nil {
			return err
		}
	}
	return out.Close()
}

// writeTo writes the entry under its name.
func (e entry) writeTo(out *tar.Writer, name string) error {
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
	_, err := out.Write(e.data)
	return err
}

// readTar enters what a tar stream holds under the names that keep gives them,
// "" leaves an entry out. Hard links become files of their own. Owners are
// dropped: what comes out of a package belongs to root.
func (r rootfs) readTar(stream io.Reader, keep func(name string) string) error {
	in := tar.NewReader(stream)
	originals := map[string]string{} // name in the stream to name here
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
