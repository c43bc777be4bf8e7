//go:build unix

package imagebuild

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newDindDebian is a Debian that has a Docker engine.
func newDindDebian(t *testing.T) debian {
	t.Helper()
	d := newDebian(t)
	d.put("install", "Inst docker.io (20.10 Debian:12 [amd64])\nInst perl (5.36 Debian:12 [amd64])\nInst busybox-static (1.35 Debian:12 [amd64])\nInst libc6 (2.36 Debian:12 [amd64])\nInst libperl5.36 (5.36 Debian:12 [amd64])\n")
	d.pkg("docker.io", "usr/sbin/dockerd", program("/lib64/ld.so.2", "libc.so.6"))
	d.pkg("docker.io", "usr/share/doc/docker.io/copyright", []byte("text"))
	d.pkg("busybox-static", "bin/busybox", program(""))
	return d
}

func TestMaker_Dind(t *testing.T) {
	d, talk := newDindDebian(t), &lines{}
	archive, err := d.maker(talk).Dind(t.Context(), "amd64", "sha256:other")
	if err != nil {
		t.Fatal(err)
	}
	if archive.Ref != DindImage || !strings.HasPrefix(archive.Digest, "sha256:") || !strings.Contains(talk.text.String(), "making keepmum/dind:debian from 3 Debian packages\n") {
		t.Errorf("%+v, said %s", archive, talk.text.String())
	}
	if again, err := d.maker(nil).Dind(t.Context(), "amd64", archive.Digest); err != nil || again.Write != nil || again.Digest != archive.Digest {
		t.Errorf("made although the engine has it: %+v, %v", again, err)
	}
	var stream bytes.Buffer
	if err := archive.Write(&stream); err != nil {
		t.Fatal(err)
	}
	headers, files := listing(t, &stream)
	var root map[string]string
	for _, h := range headers {
		if strings.HasSuffix(h.Name, ".tar") {
			_, root = listing(t, strings.NewReader(files[h.Name]))
		}
	}
	for _, want := range []string{"usr/sbin/dockerd", "usr/bin/busybox", "usr/bin/sh", "usr/lib/libc.so.6", "usr/lib64/ld.so.2", "usr/sbin/iptables", "var/lib/docker/"} {
		if _, ok := root[want]; !ok {
			t.Errorf("no %s among %v", want, slices.Sorted(maps.Keys(root)))
		}
	}
	if !strings.Contains(files[configOf(files)], `"io.keepmum.packages":"busybox-static=1.35 docker.io=20.10 libc6=2.36"`) {
		t.Error("the packages are not on the image")
	}
	if root["dind.sh"] != dindEntrypoint || !strings.Contains(root["etc/subuid"], "dockremap:") {
		t.Error("the entrypoint or the ids of user namespaces are missing")
	}
	if _, ok := root["usr/share/doc/docker.io/copyright"]; ok {
		t.Error("documents are in the image")
	}
}

func TestMaker_DindDigestCoversPackagesAndArchitecture(t *testing.T) {
	d := newDindDebian(t)
	digests := map[string]bool{}
	for _, change := range []func() string{
		func() string { return "amd64" },
		func() string { return "arm64" },
		func() string {
			d.put("install", "Inst docker.io (20.11 Debian:12 [amd64])\nInst libc6 (2.36 Debian:12 [amd64])\n")
			return "amd64"
		},
	} {
		for range 2 {
			archive, err := d.maker(nil).Dind(t.Context(), change(), "")
			if err != nil {
				t.Fatal(err)
			}
			digests[archive.Digest] = true
		}
	}
	if len(digests) != 3 {
		t.Errorf("%d digests, want 3", len(digests))
	}
}

func TestMaker_DindFailures(t *testing.T) {
	for name, test := range map[string]struct {
		change func(debian)
		want   string
	}{
		"no apt":            {func(d debian) { _ = os.Remove(filepath.Join(d.dir, "apt-get")) }, "this system has no apt-get"},
		"offline":           {func(d debian) { d.put("offline", "") }, "Failed to fetch"},
		"no packages":       {func(d debian) { d.put("install", "") }, "apt names no packages"},
		"a broken package":  {func(d debian) { d.put("broken", "") }, "bad archive"},
		"a missing library": {func(d debian) { _ = os.Remove(filepath.Join(d.dir, "pkg/libc6/lib/libc.so.6")) }, "needs libc.so.6, which is in none of the packages"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDindDebian(t)
			test.change(d)
			_, err := d.maker(nil).Dind(t.Context(), "amd64", "")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestDindPackage(t *testing.T) {
	for pkg, want := range map[string]bool{
		"docker.io=20.10": true, "containerd=1.6": true, "runc=1.1": true, "iptables=1.8": true, "busybox-static=1.35": true, "zlib1g=1.2": true, "libc6=2.36": true,
		"libc-bin=2.36": false, "libperl5.36=5": false, "libjson-perl=4": false, "libaudit-common=3": false, "perl=5.36": false, "git=2": false,
	} {
		if got := dindPackage(pkg); got != want {
			t.Errorf("%s: got %v", pkg, got)
		}
	}
}

func TestKeepInDind(t *testing.T) {
	for _, test := range []struct{ pkg, name, want string }{
		{"docker.io", "usr/sbin/dockerd", "usr/sbin/dockerd"},
		{"docker.io", "usr/bin/docker", ""},
		{"docker.io", "etc/init.d/docker", ""},
		{"busybox-static", "bin/busybox", "usr/bin/busybox"},
		{"busybox-static", "usr/lib/x.so", ""},
		{"iptables", "usr/sbin/xtables-nft-multi", "usr/sbin/xtables-nft-multi"},
		{"libxtables12", "usr/lib/x86_64-linux-gnu/libxtables.so.12", "usr/lib/x86_64-linux-gnu/libxtables.so.12"},
		{"libc6", "lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"},
	} {
		if got := keepInDind(test.pkg, test.name); got != test.want {
			t.Errorf("%s of %s: got %q, want %q", test.name, test.pkg, got, test.want)
		}
	}
}
