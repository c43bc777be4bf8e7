//go:build unix

package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// debian is a directory of fakes of Debian's tools: shell scripts over files
// that the test writes.
type debian struct {
	t   *testing.T
	dir string
}

func newDebian(t *testing.T) debian {
	t.Helper()
	d := debian{t, t.TempDir()}
	d.put("search", "postgresql-13 - old\npostgresql-15 - The World's Most Advanced\npostgresql-common - manager\n")
	d.put("install", "NOTE: This is only a simulation!\nInst libc6 (2.36-9 Debian:12 [amd64])\nInst perl (5.36 Debian:12 [amd64])\nInst postgresql-15 (15.20-0+deb12u1 Debian-Security:12 [amd64])\nInst libpq5:amd64 (15.20 Debian:12 [amd64]) []\nConf libc6 (2.36-9 Debian:12 [amd64])\n")
	d.script("apt-get", `echo "$APT_CONFIG $*" >>DIR/calls; env >>DIR/env
case "$*" in
*update*) if [ -e DIR/offline ]; then echo "E: Failed to fetch http://joe:hunter2@mirror.example/x  Could not connect" >&2; exit 100; fi;;
*install*) if [ -e DIR/nosim ]; then echo "E: no simulation" >&2; exit 100; fi; cat DIR/install;;
*download*) if [ -e DIR/nodownload ]; then echo "E: no download" >&2; exit 100; elif [ -e DIR/lost ]; then exit 0; fi; shift 2; for p; do echo x >"${p%%=*}_${p#*=}_amd64.deb"; done;;
esac`)
	d.script("apt-cache", `cat DIR/search`)
	d.script("dpkg-deb", `p=$(basename "$2"); p=${p%%_*}; if [ -e "DIR/broken" ]; then echo "dpkg-deb: error: bad archive" >&2; exit 2; fi; tar -C "DIR/pkg/$p" -c .`)
	d.pkg("postgresql-15", "usr/lib/postgresql/15/bin/postgres", program("/lib64/ld.so.2", "libpq.so.5"))
	d.pkg("postgresql-15", confSample("15"), []byte("#listen_addresses = 'localhost'\n"))
	d.pkg("postgresql-15", "usr/share/doc/postgresql-15/copyright", []byte("text"))
	d.pkg("libpq5", "usr/lib/libpq.so.5", program("", "libc.so.6"))
	d.pkg("libc6", "lib/libc.so.6", program(""))
	d.pkg("libc6", "lib64/ld.so.2", program(""))
	d.pkg("libc6", "lib/libgcc_s.so.1", program(""))
	return d
}

func (d debian) put(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d debian) script(name, text string) {
	d.t.Helper()
	text = "#!/bin/sh\nset -e\n" + strings.ReplaceAll(text, "DIR", d.dir) + "\n"
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o755); err != nil {
		d.t.Fatal(err)
	}
}

func (d debian) pkg(pkg, name string, data []byte) {
	d.t.Helper()
	path := filepath.Join(d.dir, "pkg", pkg, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		d.t.Fatal(err)
	}
}

// calls returns the calls of apt-get.
func (d debian) calls() string {
	data, _ := os.ReadFile(filepath.Join(d.dir, "calls"))
	return string(data)
}

// lines keeps the progress.
type lines struct{ text strings.Builder }

func (l *lines) Say(format string, args ...any) { fmt.Fprintf(&l.text, format+"\n", args...) }

func (d debian) maker(talk fault.Progress) Maker {
	return Maker{
		CacheDir: filepath.Join(d.dir, "cache"), Progress: talk,
		LookPath: func(name string) (string, error) {
			path := filepath.Join(d.dir, name)
			if _, err := os.Stat(path); err != nil {
				return "", exec.ErrNotFound
			}
			return path, nil
		},
		LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"PATH": os.Getenv("PATH"), "THE_ODDS_API_KEY": "canary", "HTTP_PROXY": "http://proxy"}[name]
			return value, ok
		},
	}
}

func TestMaker_OfferAndPostgres(t *testing.T) {
	d := newDebian(t)
	m := d.maker(nil)
	offer, err := m.Offer(t.Context(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if offer.Ref != "keepmum/postgres:debian-15" || strings.Join(offer.Packages, " ") != "libc6=2.36-9 libpq5=15.20 postgresql-15=15.20-0+deb12u1" {
		t.Errorf("offer %+v", offer)
	}
	archive, err := m.Postgres(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	if archive.Ref != offer.Ref || archive.Digest != offer.Digest || archive.Size == 0 {
		t.Errorf("archive %+v", archive)
	}
	var stream bytes.Buffer
	if err := archive.Write(&stream); err != nil || !bytes.Contains(stream.Bytes(), []byte("usr/lib/libgcc_s.so.1")) {
		t.Errorf("the library that only the loader needs is missing: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "cache", "apt", "amd64", "debs", "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	env, _ := os.ReadFile(filepath.Join(d.dir, "env"))
	if strings.Contains(string(env), "canary") || !strings.Contains(string(env), "HTTP_PROXY=http://proxy") {
		t.Error("apt got a secret in its environment, or no proxy")
	}
	config, err := os.ReadFile(filepath.Join(d.dir, "cache", "apt", "amd64", "apt.conf"))
	if err != nil || !strings.Contains(string(config), "Dir::State::status \""+filepath.Join(d.dir, "cache", "apt", "amd64", "status")) {
		t.Errorf("apt does not use the separate state: %v\n%s", err, config)
	}
	if !strings.Contains(d.calls(), filepath.Join("amd64", "apt.conf")+" -q update") {
		t.Errorf("calls: %s", d.calls())
	}
}

func TestApt_DownloadsListsOnceADay(t *testing.T) {
	d, talk := newDebian(t), &lines{}
	m := d.maker(talk)
	for range 2 {
		if _, err := m.Offer(t.Context(), "amd64"); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(d.calls(), " update"); n != 1 {
		t.Errorf("the lists were downloaded %d times, want once", n)
	}
	stamp := filepath.Join(d.dir, "cache", "apt", "amd64", "refreshed")
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(stamp, old, old); err != nil {
		t.Fatal(err)
	}
	d.put("offline", "")
	if _, err := m.Offer(t.Context(), "amd64"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(d.calls(), " update"); n != 2 || !strings.Contains(talk.text.String(), "using those of "+old.Format("2006-01-02")) {
		t.Errorf("downloaded %d times, said %s", n, talk.text.String())
	}
}

func TestMaker_DebianEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newDebian(t).maker(nil).Offer(ctx, "amd64"); fault.CodeOf(err) != fault.Interrupted || !strings.Contains(err.Error(), "stopped while apt-get was running") {
		t.Errorf("got %v", err)
	}
}

func TestMaker_DebianPackageIsNotAnArchive(t *testing.T) {
	d := newDebian(t)
	d.script("dpkg-deb", "echo garbage")
	m := d.maker(nil)
	offer, err := m.Offer(t.Context(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Postgres(t.Context(), offer); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "libc6_2.36-9_amd64.deb cannot be unpacked") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "cache", "apt", "amd64", "debs", "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestMaker_DebianNeedsItsState(t *testing.T) {
	for _, path := range []string{"cache", "cache/apt/amd64/status/x", "cache/apt/amd64/lists"} {
		d := newDebian(t)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(d.dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		d.put(path, "") // in the way of a directory, or a directory in the way of a file
		_, err := d.maker(nil).Offer(t.Context(), "amd64")
		if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "no writable cache directory") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestMaker_DebianFailures(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(debian)
		arch   string
		want   string
	}{
		{"no apt", func(d debian) { _ = os.Remove(filepath.Join(d.dir, "apt-get")) }, "amd64", "this system has no apt-get"},
		{"no such architecture", func(debian) {}, "sparc64", "no Debian packages for the engine's architecture sparc64"},
		{"offline from the start", func(d debian) { d.put("offline", "") }, "amd64", "Failed to fetch http://mirror.example/x"},
		{"no Postgres", func(d debian) { d.put("search", "") }, "amd64", "offer no Postgres"},
		{"an old Postgres", func(d debian) { d.put("search", "postgresql-14 - x\n") }, "amd64", "offer Postgres 14, but 15 or newer is needed"},
		{"no packages", func(d debian) { d.put("install", "") }, "amd64", "apt names no packages"},
		{"a broken package", func(d debian) { d.put("broken", "") }, "amd64", "bad archive"},
		{"apt silent and failing", func(d debian) { d.script("apt-cache", "exit 7") }, "amd64", "failed: it printed nothing"},
		{"apt failing without an error line", func(d debian) { d.script("apt-cache", "echo first >&2; echo last >&2; exit 7") }, "amd64", "failed: last"},
		{"a simulation that fails", func(d debian) { d.put("nosim", "") }, "amd64", "no simulation"},
		{"a download that fails", func(d debian) { d.put("nodownload", "") }, "amd64", "no download"},
		{"a package that is not downloaded", func(d debian) { d.put("lost", "") }, "amd64", "apt did not download libc6=2.36-9"},
		{"a missing library", func(d debian) { _ = os.Remove(filepath.Join(d.dir, "pkg/libpq5/usr/lib/libpq.so.5")) }, "amd64", "needs libpq.so.5, which is in none of the packages"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDebian(t)
			test.change(d)
			m := d.maker(nil)
			offer, err := m.Offer(t.Context(), test.arch)
			if err == nil {
				_, err = m.Postgres(t.Context(), offer)
			}
			var e *fault.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) || !strings.Contains(e.Next, "KEEPMUM_POSTGRES_IMAGE") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a mirror's password")
			}
		})
	}
}
