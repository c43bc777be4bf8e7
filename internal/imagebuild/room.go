package imagebuild

import (
	"context"
	_ "embed" // room.sh
	"regexp"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
)

//go:embed room.sh
var roomEntrypoint string

const (
	// RoomImage is the name of the image of a room: an engine in a container.
	RoomImage     = "keepmum/room:debian"
	roomSelection = "3" // raised when roomPackage, keepInRoom or roomRoot take other files
	roomApplets   = "awk cat echo grep ls mkdir mount rm rmdir sed sh sleep umount"
)

// RoomOffer is what the image of a room would be made of.
type RoomOffer struct {
	Arch     string
	Packages []string // NAME=VERSION, sorted
	Digest   string   // what the image's label says
}

// OfferRoom asks apt for the packages of an engine.
func (m Maker) OfferRoom(ctx context.Context, arch string) (RoomOffer, error) {
	m = m.filled()
	a, err := m.apt(arch)
	if err != nil {
		return RoomOffer{}, err
	}
	if err := a.refresh(ctx); err != nil {
		return RoomOffer{}, err
	}
	packages, err := a.closure(ctx, "docker.io", "containerd", "runc", "iptables", "busybox-static", "libgcc-s1")
	if err != nil {
		return RoomOffer{}, err
	}
	offer := RoomOffer{Arch: arch, Packages: slices.DeleteFunc(packages, func(pkg string) bool { return !roomPackage(pkg) })}
	offer.Digest = "sha256:" + digest([]byte(strings.Join(append(offer.Packages, arch, roomSelection, roomEntrypoint, roomApplets), "\n")))
	return offer, nil
}

// Room makes the image of an offer: dockerd, containerd, runc and iptables, with
// the libraries that they need and a shell. Its engine is reached by its socket
// alone.
func (m Maker) Room(ctx context.Context, offer RoomOffer) (images.Archive, error) {
	m = m.filled()
	a, err := m.apt(offer.Arch)
	if err != nil {
		return images.Archive{}, err
	}
	m.Progress.Say("making %s of %d Debian packages", RoomImage, len(offer.Packages))
	files, err := a.unpack(ctx, offer.Packages, keepInRoom)
	if err != nil {
		return images.Archive{}, err
	}
	root, err := roomRoot(files)
	if err != nil {
		return images.Archive{}, err
	}
	made, err := image{
		ref: RoomImage, arch: offer.Arch, layers: []rootfs{root}, digest: offer.Digest,
		config: config{
			Entrypoint: []string{"/room.sh"}, WorkingDir: "/", Env: []string{"PATH=/usr/sbin:/usr/bin"},
			Labels: map[string]string{docker.LabelPackages: strings.Join(offer.Packages, " ")},
		},
	}.build()
	if err != nil {
		return images.Archive{}, &fault.Error{Code: fault.Failed, What: "the image of a room cannot be assembled", Next: "run the test again", Cause: err}
	}
	return made.archive(), nil
}

// roomPackage tells whether a package, NAME=VERSION, can hold something that the
// image takes.
func roomPackage(pkg string) bool {
	name, _, _ := strings.Cut(pkg, "=")
	switch name {
	case "docker.io", "containerd", "runc", "iptables", "busybox-static", "zlib1g":
		return true
	}
	return strings.HasPrefix(name, "lib") && !regexp.MustCompile(`^(libperl|libc-|libsemanage)|-perl$|-common$|-l10n$|-bin$`).MatchString(name)
}

// keepInRoom returns the name that a file of a package gets in the image, or ""
// where it is not taken.
func keepInRoom(pkg, name string) string {
	for _, top := range []string{"bin/", "sbin/", "lib/", "lib32/", "lib64/"} {
		if strings.HasPrefix(name, top) {
			name = "usr/" + name
		}
	}
	switch strings.Replace(name, "usr/sbin/", "usr/bin/", 1) {
	case "usr/bin/dockerd", "usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/runc", "usr/bin/xtables-nft-multi", "usr/bin/docker-proxy", "usr/bin/busybox":
		return name
	}
	if strings.HasPrefix(name, "usr/lib") && strings.Contains(name, ".so") && pkg != "busybox-static" {
		return name
	}
	return ""
}

// roomRoot makes the root file system of what was unpacked.
func roomRoot(files rootfs) (rootfs, error) {
	root, err := linked(files, func(name string) bool {
		return strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "usr/sbin/") || strings.Contains(name, "/xtables/")
	}, "libgcc_s.so.1")
	if err != nil {
		return nil, err
	}
	for _, top := range []string{"bin", "sbin", "lib", "lib64"} {
		root.symlink(top, "usr/"+top)
	}
	for _, applet := range strings.Fields(roomApplets) {
		root.symlink("usr/bin/"+applet, "busybox")
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		root.symlink("usr/sbin/"+name, "xtables-nft-multi")
	}
	root.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\ndockremap:x:100:100::/:/bin/sh\n"))
	root.file("etc/group", 0o644, []byte("root:x:0:\ndockremap:x:100:\n"))
	for _, file := range []string{"etc/subuid", "etc/subgid"} {
		root.file(file, 0o644, []byte("dockremap:100000:70000\n"))
	}
	root.file("room.sh", 0o755, []byte(roomEntrypoint))
	root.symlink("var/run", "/run")
	root.dir("tmp", 0o1777, 0, 0)
	root.dir("root", 0o700, 0, 0)
	root.dir("run", 0o755, 0, 0)
	root.dir("var/lib/docker", 0o710, 0, 0)
	return root, nil
}
