package imagebuild

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// linked returns the files that wanted accepts, and the shared libraries that
// they need, transitively, with the symbolic links on the way. Libraries in extra
// are needed by the dynamic loader only.
func linked(files rootfs, wanted func(name string) bool, extra ...string) (rootfs, error) {
	l := linker{files: files, root: rootfs{}, byName: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(path.Base(name), ".so") {
			l.byName[path.Base(name)] = name
		}
	}
	for _, library := range extra {
		l.need(library, "the loader")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if wanted(name) {
			l.take(name)
		}
	}
	if len(l.missing) > 0 {
		return nil, &fault.Error{Code: fault.Failed, What: "libraries are missing from the Debian packages", Findings: l.missing, Next: "set KEEPMUM_POSTGRES_IMAGE to an image of Postgres"}
	}
	return l.root, nil
}

// linker collects files and their libraries.
type linker struct {
	files   rootfs
	root    rootfs
	byName  map[string]string // shared libraries by the name that programs use
	missing []fault.Finding
}

// take adds a file and everything that it needs.
func (l *linker) take(name string) {
	if _, done := l.root[name]; done {
		return
	}
	e, ok := l.files[name]
	if !ok {
		return
	}
	l.root[name] = e
	switch {
	case e.kind == tar.TypeSymlink:
		l.take(resolve(name, e.link))
		return
	case !bytes.HasPrefix(e.data, []byte(elf.ELFMAG)):
		return
	}
	program, err := elf.NewFile(bytes.NewReader(e.data))
	if err != nil {
		l.missing = append(l.missing, fault.Finding{Subject: name, Problem: "is not a readable program"})
		return
	}
	libraries, err := program.ImportedLibraries()
	if err != nil {
		return // a static program
	}
	for _, library := range libraries {
		l.need(library, name)
	}
	if loader := interpreter(program); loader != "" {
		l.take(underUsr(loader))
		l.need(path.Base(loader), name)
	}
}

// need adds the library of that name.
func (l *linker) need(library, by string) {
	name, ok := l.byName[library]
	if !ok {
		l.missing = append(l.missing, fault.Finding{Subject: by, Problem: "needs " + library + ", which is in none of the packages"})
		return
	}
	l.take(name)
}

// interpreter returns the path of the dynamic loader that a program names,
// without the leading slash.
func interpreter(program *elf.File) string {
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			data, _ := io.ReadAll(part.Open())
			return strings.Trim(string(data), "\x00/")
		}
	}
	return ""
}

// resolve returns the target of a symbolic link at name, as a name in the image.
func resolve(name, target string) string {
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(name), target)
	}
	return underUsr(strings.TrimPrefix(path.Clean("/"+target), "/"))
}
