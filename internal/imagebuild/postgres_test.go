package imagebuild

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// program returns a shared object that names a loader and libraries, and does
// nothing else.
func program(loader string, libraries ...string) []byte {
	const headerSize, progSize, sectionSize = 64, 56, 64
	strtab := "\x00"
	var dynamic []elf.Dyn64
	for _, library := range libraries {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(len(strtab))})
		strtab += library + "\x00"
	}
	dynamic = append(dynamic, elf.Dyn64{})
	interp := loader + "\x00"
	at := uint64(headerSize + progSize)
	dynAt := at + uint64(len(interp))
	strAt := dynAt + uint64(16*len(dynamic))
	sectionsAt := strAt + uint64(len(strtab))
	var b bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: headerSize, Shoff: sectionsAt,
		Ehsize: headerSize, Phentsize: progSize, Phnum: 1, Shentsize: sectionSize, Shnum: 3,
	}
	prog := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: at, Filesz: uint64(len(interp)), Memsz: uint64(len(interp))}
	if loader == "" {
		prog.Type = uint32(elf.PT_NULL)
	}
	sections := []elf.Section64{
		{}, {Type: uint32(elf.SHT_DYNAMIC), Off: dynAt, Size: uint64(16 * len(dynamic)), Link: 2, Entsize: 16},
		{Type: uint32(elf.SHT_STRTAB), Off: strAt, Size: uint64(len(strtab))},
	}
	for _, part := range []any{header, prog, []byte(interp), dynamic, []byte(strtab), sections} {
		_ = binary.Write(&b, binary.LittleEndian, part)
	}
	return b.Bytes()
}

func TestLinked_TakesNeededFilesOnly(t *testing.T) {
	files := rootfs{}
	files.file("usr/lib/postgresql/15/bin/postgres", 0o755, program("/lib/ld.so.2", "libpq.so.5", "libc.so.6"))
	files.file("usr/share/x", 0o644, []byte("text"))
	files.symlink("usr/lib/x86/libpq.so.5", "libpq.so.5.15")
	files.file("usr/lib/x86/libpq.so.5.15", 0o644, program("", "libssl.so.3", "libc.so.6"))
	files.file("usr/lib/x86/libssl.so.3", 0o644, program("", "libpq.so.5"))
	files.file("usr/lib/x86/libc.so.6", 0o755, program(""))
	files.file("usr/lib/x86/libunused.so.1", 0o644, program("", "libnowhere.so"))
	files.symlink("usr/lib/ld.so.2", "/lib/x86/ld.so.2")
	files.file("usr/lib/x86/ld.so.2", 0o755, program(""))
	files.file("usr/lib/x86/libgcc_s.so.1", 0o644, program(""))
	root, err := linked(files, func(name string) bool { return !strings.Contains(name, ".so") }, "libgcc_s.so.1")
	if err != nil {
		t.Fatal(err)
	}
	want := "usr/lib/ld.so.2 usr/lib/postgresql/15/bin/postgres usr/lib/x86/ld.so.2 usr/lib/x86/libc.so.6 usr/lib/x86/libgcc_s.so.1 usr/lib/x86/libpq.so.5 usr/lib/x86/libpq.so.5.15 usr/lib/x86/libssl.so.3 usr/share/x"
	if got := strings.Join(slices.Sorted(maps.Keys(root)), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLinked_NamesEveryMissingLibrary(t *testing.T) {
	files := rootfs{}
	files.file("bin/a", 0o755, program("", "libone.so"))
	files.file("bin/b", 0o755, program("", "libtwo.so"))
	files.file("bin/torn", 0o755, program("")[:40])
	_, err := linked(files, func(string) bool { return true })
	var e *fault.Error
	if !errors.As(err, &e) || len(e.Findings) != 3 || !strings.Contains(e.Next, "KEEPMUM_POSTGRES_IMAGE") {
		t.Fatalf("got %v", err)
	}
	for i, want := range []string{"needs libone.so", "needs libtwo.so", "is not a readable program"} {
		if !strings.Contains(e.Findings[i].Problem, want) {
			t.Errorf("got %v, want %q", e.Findings[i], want)
		}
	}
}

func TestKeepFile(t *testing.T) {
	for _, test := range []struct{ pkg, name, want string }{
		{"postgresql-15", "usr/lib/postgresql/15/bin/postgres", "usr/lib/postgresql/15/bin/postgres"},
		{"postgresql-15", "usr/lib/postgresql/15/lib/llvmjit.so", ""},
		{"postgresql-15", "usr/lib/postgresql/15/lib/bitcode/postgres.index.bc", ""},
		{"postgresql-15", "usr/share/postgresql/15/timezonesets/Default", "usr/share/postgresql/15/timezonesets/Default"},
		{"postgresql-15", "usr/share/postgresql/15/man/man1/initdb.1.gz", ""},
		{"postgresql-15", "usr/share/doc/postgresql-15/copyright", ""},
		{"postgresql-15", "usr/share/locale/de/LC_MESSAGES/postgres-15.mo", ""},
		{"postgresql-15", "etc/init.d/postgresql", ""},
		{"busybox-static", "bin/busybox", "usr/bin/busybox"},
		{"busybox-static", "usr/bin/busybox", "usr/bin/busybox"},
		{"tzdata", "usr/share/zoneinfo/UTC", "usr/share/zoneinfo/UTC"},
		{"libc6", "lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"},
		{"libc6", "lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"},
		{"libc6", "usr/share/doc/libc6/NEWS.so.gz", ""},
		{"libc-bin", "usr/lib/locale/C.utf8/LC_CTYPE", "usr/lib/locale/C.utf8/LC_CTYPE"},
		{"libc-bin", "usr/bin/ldd", ""},
	} {
		if got := keepFile(test.pkg, test.name, "15"); got != test.want {
			t.Errorf("%s of %s: got %q, want %q", test.name, test.pkg, got, test.want)
		}
	}
}

func TestNeededPackage(t *testing.T) {
	for pkg, want := range map[string]bool{
		"postgresql-15=15.20": true, "postgresql-client-15=15.20": true, "postgresql-16=16.1": false, "postgresql-common=248": false,
		"libc6=2.36": true, "libicu72=72.1": true, "zlib1g=1.2": true, "libllvm14=14": false, "libz3-4=4": false, "libperl5.36=5": false,
		"libjson-perl=4": false, "libc-l10n=2": false, "libaudit-common=3": false, "perl=5.36": false, "locales=2.36": false, "tzdata=2026f": true,
	} {
		if got := neededPackage(pkg, "15"); got != want {
			t.Errorf("%s: got %v", pkg, got)
		}
	}
}

func TestListenEverywhere(t *testing.T) {
	got := string(listenEverywhere([]byte("# - Connection -\n#listen_addresses = 'localhost'\t\t# what IP address(es)\n#port = 5432\n")))
	if got != "# - Connection -\nlisten_addresses = '*'\t\t# what IP address(es)\n#port = 5432\n" {
		t.Errorf("got %q", got)
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ name, target, want string }{
		{"usr/lib64/ld.so", "/lib/x86/ld.so", "usr/lib/x86/ld.so"},
		{"usr/lib/x86/a.so", "a.so.1", "usr/lib/x86/a.so.1"},
		{"usr/lib/x86/a.so", "../../../../../etc/passwd", "etc/passwd"},
		{"usr/share/zoneinfo/localtime", "/etc/localtime", "etc/localtime"},
	} {
		if got := resolve(test.name, test.target); got != test.want {
			t.Errorf("%s -> %s: got %s, want %s", test.name, test.target, got, test.want)
		}
	}
}

func TestOfferDigest_CoversTheWholeImage(t *testing.T) {
	offer := func(change func(*images.PostgresOffer)) string {
		o := images.PostgresOffer{Ref: "keepmum/postgres:debian-15", Major: "15", Arch: "amd64", Packages: []string{"libc6=1", "postgresql-15=15.1"}}
		if change != nil {
			change(&o)
		}
		digest, err := offerDigest(o)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	base := offer(nil)
	if !strings.HasPrefix(base, "sha256:") || offer(nil) != base || offer(func(o *images.PostgresOffer) { o.Digest = "x" }) != base {
		t.Error("the same offer has two digests")
	}
	if offer(func(o *images.PostgresOffer) { o.Packages = []string{"libc6=2", "postgresql-15=15.1"} }) == base || offer(func(o *images.PostgresOffer) { o.Arch = "arm64" }) == base {
		t.Error("another offer has the same digest")
	}
}

func TestPostgresImage(t *testing.T) {
	offer := images.PostgresOffer{Ref: "keepmum/postgres:debian-15", Major: "15", Arch: "amd64", Packages: []string{"libc6=1"}, Digest: "sha256:d"}
	root, err := postgresRoot(rootfs{confSample("15"): {kind: tar.TypeReg, data: []byte("#listen_addresses = 'localhost'")}}, "15")
	if err != nil {
		t.Fatal(err)
	}
	i := postgresImage(offer, root)
	if i.config.User != "999:999" || i.config.StopSignal != "SIGINT" || i.config.Entrypoint[0] != "/usr/local/bin/docker-entrypoint.sh" || i.config.Labels[docker.LabelPackages] != "libc6=1" {
		t.Errorf("config %+v", i.config)
	}
	if b := mustBuild(t, i); b.Digest != "sha256:d" {
		t.Errorf("digest %s", b.Digest)
	}
	for name, mode := range map[string]int64{"run/postgresql": 0o3777, "var/lib/postgresql": 0o755, postgresData: 0o700, "tmp": 0o1777, "usr/local/bin/docker-entrypoint.sh": 0o755} {
		if got := root[name].mode; got != mode {
			t.Errorf("%s has mode %#o, want %#o", name, got, mode)
		}
	}
	if sh := root["usr/bin/sh"]; sh.link != "busybox" || root["bin"].link != "usr/bin" {
		t.Errorf("no shell: %+v", sh)
	}
	if _, err := postgresRoot(rootfs{}, "15"); err == nil || !strings.Contains(err.Error(), path.Base(confSample("15"))) {
		t.Errorf("packages without a configuration: %v", err)
	}
}
