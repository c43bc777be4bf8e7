package imagebuild

import (
	"context"
	_ "embed" // entrypoint.sh
	"regexp"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
)

//go:embed entrypoint.sh
var entrypoint string

const (
	postgresUID  = 999 // as in the official image, so that volumes fit both
	postgresData = "var/lib/postgresql/data"
	selection    = "1" // raised when neededPackage, keepFile or linked take other files
)

// Offer asks apt which Postgres, 15 or newer, it has for an architecture, and
// which packages contain it and its libraries. It implements
// [images.PostgresMaker].
func (m Maker) Offer(ctx context.Context, arch string) (images.PostgresOffer, error) {
	a, err := m.filled().fresh(ctx, arch)
	if err != nil {
		return images.PostgresOffer{}, err
	}
	major, err := a.postgres(ctx)
	if err != nil {
		return images.PostgresOffer{}, err
	}
	needed := func(pkg string) bool { return neededPackage(pkg, major) }
	packages, err := a.offered(ctx, needed, "postgresql-"+major, "postgresql-client-"+major, "busybox-static", "libgcc-s1", "tzdata", "libc-bin")
	if err != nil {
		return images.PostgresOffer{}, err
	}
	offer := images.PostgresOffer{Ref: images.OwnPostgres + major, Major: major, Arch: arch, Packages: packages}
	offer.Digest, err = offerDigest(offer)
	return offer, err
}

// offerDigest is a digest of the names of the packages and of everything that
// keepmum adds to them: that of the image without the packages' files.
func offerDigest(offer images.PostgresOffer) (string, error) {
	root, err := postgresRoot(rootfs{confSample(offer.Major): {}}, offer.Major)
	if err != nil {
		return "", err
	}
	root.file("selection", 0o644, []byte(selection))
	offer.Digest = ""
	empty, err := postgresImage(offer, root).archive()
	return empty.Digest, err
}

// neededPackage reports whether a package, NAME=VERSION, can hold something that
// the image takes.
func neededPackage(pkg, major string) bool {
	name, _, _ := strings.Cut(pkg, "=")
	switch name {
	case "postgresql-" + major, "postgresql-client-" + major, "busybox-static", "tzdata", "libc-bin", "zlib1g":
		return true
	}
	return strings.HasPrefix(name, "lib") && !regexp.MustCompile(`^(libllvm|libz3|libclang|libperl|libc-|libsemanage)|-perl$|-common$|-l10n$`).MatchString(name)
}

// Postgres builds the image of an offer. It implements [images.PostgresMaker].
func (m Maker) Postgres(ctx context.Context, offer images.PostgresOffer) (images.Archive, error) {
	a, err := m.filled().apt(offer.Arch)
	if err != nil {
		return images.Archive{}, err
	}
	keep := func(pkg, name string) string { return keepFile(pkg, name, offer.Major) }
	return a.assemble(ctx, offer.Ref, offer.Packages, keep, func(files rootfs) (image, error) {
		root, err := postgresRoot(files, offer.Major, "libgcc_s.so.1") // pthread_exit and pthread_cancel load it
		return postgresImage(offer, root), err
	})
}

// postgresImage is the image over its root file system.
func postgresImage(offer images.PostgresOffer, root rootfs) image {
	return image{
		ref: offer.Ref, arch: offer.Arch, layers: []rootfs{root},
		config: config{
			User: "999:999", Entrypoint: []string{"/usr/local/bin/docker-entrypoint.sh"}, Cmd: []string{"postgres"}, WorkingDir: "/", StopSignal: "SIGINT",
			Env: []string{
				"PATH=/usr/local/bin:/usr/lib/postgresql/" + offer.Major + "/bin:/usr/bin", "LANG=C.UTF-8", "PG_MAJOR=" + offer.Major, "PGDATA=/" + postgresData,
			},
			ExposedPorts: map[string]struct{}{"5432/tcp": {}},
			Labels:       map[string]string{docker.LabelPackages: strings.Join(offer.Packages, " ")},
		},
		digest: offer.Digest, // known before anything is downloaded
	}
}

// keepFile returns the name that a file of a package gets in the image, or "" if
// it is not taken: documents, translations, and files that only the just-in-time
// compiler needs. Everything goes under usr, to which /bin and /lib are links.
func keepFile(pkg, name, major string) string {
	name = strings.Replace(underUsr(name), "usr/sbin/", "usr/bin/", 1)
	keep := false
	switch pkg {
	case "postgresql-" + major, "postgresql-client-" + major:
		keep = strings.HasPrefix(name, "usr/lib/postgresql/") && !strings.Contains(name, "/bitcode/") && !strings.Contains(name, "/llvmjit") ||
			strings.HasPrefix(name, "usr/share/postgresql/") && !strings.Contains(name, "/man/")
	case "busybox-static":
		keep = name == "usr/bin/busybox"
	case "tzdata":
		keep = strings.HasPrefix(name, "usr/share/zoneinfo/")
	case "libc-bin":
		keep = strings.HasPrefix(name, "usr/lib/locale/C.utf8/")
	default:
		keep = strings.Contains(name, ".so") && strings.HasPrefix(name, "usr/lib")
	}
	if !keep {
		return ""
	}
	return name
}

// underUsr returns the name that a file has if /bin, /sbin and /lib are links to
// directories in usr.
func underUsr(name string) string {
	for _, top := range []string{"bin/", "sbin/", "lib/", "lib32/", "lib64/"} {
		if strings.HasPrefix(name, top) {
			return "usr/" + name
		}
	}
	return name
}

// postgresRoot makes the root file system from the unpacked files: the programs,
// the libraries that they or, for those in extra, the loader need, a shell, and
// the files of a small system.
func postgresRoot(files rootfs, major string, extra ...string) (rootfs, error) {
	root, err := linked(files, func(name string) bool {
		return !strings.Contains(name, ".so") || strings.HasPrefix(name, "usr/lib/postgresql/")
	}, extra...)
	if err != nil {
		return nil, err
	}
	root.addSystem("bin lib lib64", applets)
	root.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh\n"))
	root.file("etc/group", 0o644, []byte("root:x:0:\npostgres:x:999:\n"))
	root.file("etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files dns\n"))
	root.file("usr/local/bin/docker-entrypoint.sh", 0o755, []byte(entrypoint))
	root.dir("run/postgresql", 0o3777, postgresUID, postgresUID)
	root.dir("var/lib/postgresql", 0o755, postgresUID, postgresUID)
	root.dir(postgresData, 0o700, postgresUID, postgresUID)
	root.dir("docker-entrypoint-initdb.d", 0o755, 0, 0)
	sample := confSample(major)
	conf, ok := root[sample]
	if !ok {
		return nil, &fault.Error{Code: fault.Failed, What: "the packages of Postgres do not contain " + sample, Next: "set KEEPMUM_POSTGRES_IMAGE to an image of Postgres"}
	}
	root.file(sample, 0o644, listenEverywhere(conf.data))
	return root, nil
}

// confSample is the file that initdb makes postgresql.conf from.
func confSample(major string) string {
	return "usr/share/postgresql/" + major + "/postgresql.conf.sample"
}

// listenEverywhere sets listen_addresses in postgresql.conf.sample, as the
// official image does: a container is reached through its network.
func listenEverywhere(conf []byte) []byte {
	return regexp.MustCompile(`(?m)^#?listen_addresses\s*=\s*'[^']*'`).ReplaceAll(conf, []byte(`listen_addresses = '*'`))
}

// applets are the programs of busybox that the image has: those that the
// entrypoint and other people's scripts commonly use.
const applets = `ash awk base64 basename cat chgrp chmod chown cmp cp cut date dd df diff dirname du echo egrep env expr false fgrep find
fold free getopt grep groups gunzip gzip head hostname id install kill less ln ls md5sum mkdir mkfifo mktemp mv nc nproc od paste printenv printf ps
pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort stat stty su sync tail tar tee test timeout touch tr true uname uniq vi wc which whoami xargs xz xzcat yes zcat`
