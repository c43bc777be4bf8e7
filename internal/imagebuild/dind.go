package imagebuild

import (
	"context"
	_ "embed" // dind.sh
	"regexp"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/images"
)

//go:embed dind.sh
var dindEntrypoint string

const (
	// DindImage is the name of the image of docker-in-docker: an engine in a
	// container.
	DindImage     = "keepmum/dind:debian"
	dindSelection = "3" // raised when dindPackage, keepInDind or dindRoot take other files
	dindApplets   = "awk cat echo grep ls mkdir mount rm rmdir sed sh sleep umount"
)

// Dind makes an image of docker-in-docker: dockerd, containerd, runc and iptables,
// with the libraries that they need and a shell. Its engine is reached through
// its socket only. If the image would have the digest had, none is made, and the
// result has no Write.
func (m Maker) Dind(ctx context.Context, arch, had string) (images.Archive, error) {
	a, err := m.filled().fresh(ctx, arch)
	if err != nil {
		return images.Archive{}, err
	}
	packages, err := a.offered(ctx, dindPackage, "docker.io", "containerd", "runc", "iptables", "busybox-static", "libgcc-s1")
	if err != nil {
		return images.Archive{}, err
	}
	sum := "sha256:" + digest([]byte(strings.Join(append(packages, arch, dindSelection, dindEntrypoint, dindApplets), "\n")))
	if sum == had {
		return images.Archive{Ref: DindImage, Digest: sum}, nil
	}
	return a.assemble(ctx, DindImage, packages, keepInDind, func(files rootfs) (image, error) {
		root, err := dindRoot(files)
		return image{
			ref: DindImage, arch: arch, layers: []rootfs{root}, digest: sum,
			config: config{
				Entrypoint: []string{"/dind.sh"}, WorkingDir: "/", Env: []string{"PATH=/usr/sbin:/usr/bin"},
				Labels: map[string]string{docker.LabelPackages: strings.Join(packages, " ")},
			},
		}, err
	})
}

// dindPackage reports whether a package, NAME=VERSION, can hold something that
// the image takes.
func dindPackage(pkg string) bool {
	name, _, _ := strings.Cut(pkg, "=")
	switch name {
	case "docker.io", "containerd", "runc", "iptables", "busybox-static", "zlib1g":
		return true
	}
	return strings.HasPrefix(name, "lib") && !regexp.MustCompile(`^(libperl|libc-|libsemanage)|-perl$|-common$|-l10n$|-bin$`).MatchString(name)
}

// keepInDind returns the name that a file of a package gets in the image, or ""
// if it is not taken.
func keepInDind(pkg, name string) string {
	name = underUsr(name)
	switch strings.Replace(name, "usr/sbin/", "usr/bin/", 1) {
	case "usr/bin/dockerd", "usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/runc", "usr/bin/xtables-nft-multi", "usr/bin/docker-proxy", "usr/bin/busybox":
		return name
	}
	if strings.HasPrefix(name, "usr/lib") && strings.Contains(name, ".so") && pkg != "busybox-static" {
		return name
	}
	return ""
}

// dindRoot makes the root file system from the unpacked files.
func dindRoot(files rootfs) (rootfs, error) {
	root, err := linked(files, func(name string) bool {
		return strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "usr/sbin/") || strings.Contains(name, "/xtables/")
	}, "libgcc_s.so.1")
	if err != nil {
		return nil, err
	}
	root.addSystem("bin sbin lib lib64", dindApplets)
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		root.symlink("usr/sbin/"+name, "xtables-nft-multi")
	}
	root.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\ndockremap:x:100:100::/:/bin/sh\n"))
	root.file("etc/group", 0o644, []byte("root:x:0:\ndockremap:x:100:\n"))
	for _, file := range []string{"etc/subuid", "etc/subgid"} {
		root.file(file, 0o644, []byte("dockremap:100000:70000\n"))
	}
	root.file("dind.sh", 0o755, []byte(dindEntrypoint))
	root.dir("run", 0o755, 0, 0)
	root.dir("var/lib/docker", 0o710, 0, 0)
	return root, nil
}
