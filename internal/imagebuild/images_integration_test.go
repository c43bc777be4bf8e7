//go:build integration && unix

package imagebuild

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/integration/reaper"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// mark is in a label or in the name of everything that this run makes and removes.
var mark string

// ref is the name of an image of this run.
func ref(tag string) string { return "images-test/" + mark + ":" + tag }

// labels mark a container of this run.
func labels() map[string]string { return map[string]string{"io.keepmum.test": "images-" + mark} }

// TestMain runs the tests along with a reaper.
func TestMain(m *testing.M) {
	os.Exit(reaper.Main(func(given string) int {
		mark = given
		return m.Run()
	}, reaper.Clean))
}

// connect returns the real engine.
func connect(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Connect(t.Context(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// load loads an archive under a throw-away name and removes it at the end.
func load(t *testing.T, e *engine.Engine, archive images.Archive) docker.Image {
	t.Helper()
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	if _, err := e.LoadImage(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	image, found, err := e.Image(t.Context(), archive.Ref)
	if err != nil || !found {
		t.Fatalf("%s is missing: %v", archive.Ref, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.RemoveImage(ctx, archive.Ref, true); err != nil {
			t.Error(err)
		}
	})
	return image
}

func TestServiceImage_RunsOnTheEngine(t *testing.T) {
	e := connect(t)
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := module(t, "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n\troots, err := os.ReadFile(\"/etc/ssl/certs/ca-certificates.crt\")\n\tfmt.Println(os.Getuid(), os.Getgid(), len(roots) > 0, err, os.WriteFile(\"/tmp/x\", nil, 0o600))\n}\n")
	archives, err := maker(t, dir).Services(t.Context(), info.Arch, map[string]string{"api": ref("api")})
	if err != nil {
		t.Fatal(err)
	}
	image := load(t, e, archives[1])
	if image.Labels[docker.LabelBuild] != archives[1].Digest || image.User != "65532:65532" || image.Arch != info.Arch {
		t.Errorf("the engine has %+v", image)
	}
	result, err := e.RunProbe(t.Context(), docker.Probe{Image: ref("api"), Labels: labels()})
	if err != nil || string(result.Stdout) != "65532 65532 true <nil> <nil>\n" {
		t.Errorf("said %q %q, %v", result.Stdout, result.Stderr, err)
	}
}

func TestProbe_ReportsReadableFiles(t *testing.T) {
	e := connect(t)
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := Maker{Dir: filepath.Join("..", "..")}
	archives, err := m.Services(t.Context(), info.Arch, nil)
	if err != nil {
		t.Fatal(err)
	}
	archives[0].Ref = images.ProbeImage
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archives[0].Write(in)) }()
	if _, err := e.LoadImage(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"open": 0o444, "closed": 0o400} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("canary-of-the-probe"), mode); err != nil {
			t.Fatal(err)
		}
	}
	result, err := e.RunProbe(t.Context(), docker.Probe{
		Image: images.ProbeImage, Labels: labels(), User: "65532:65532", Cmd: []string{"/run/secrets/open", "/run/secrets/closed", "/run/secrets/absent"},
		Mounts: []docker.Mount{
			{Type: "bind", Source: filepath.Join(dir, "open"), Destination: "/run/secrets/open", ReadOnly: true},
			{Type: "bind", Source: filepath.Join(dir, "closed"), Destination: "/run/secrets/closed", ReadOnly: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(result.Stdout), "ok /run/secrets/open\ndenied /run/secrets/closed\nmissing /run/secrets/absent\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if bytes.Contains(append(result.Stdout, result.Stderr...), []byte("canary")) {
		t.Error("the probe shows a value")
	}
}

// A Postgres from Debian packages, in one container without a network: created,
// reached with the right password only, stopped, started again.
const tryPostgres = `set -e
docker-entrypoint.sh postgres >/tmp/log 2>&1 &
for i in $(seq 600); do pg_isready -q -h 127.0.0.1 -U postgres -d odds && break; sleep 0.1; done
export PGPASSFILE=/tmp/pass PGCONNECT_TIMEOUT=5
(umask 077; printf '127.0.0.1:*:*:*:%s\n' "$(sed 's/[\\:]/\\&/g' /run/secrets/PW)" >/tmp/pass)
psql -w -h 127.0.0.1 -U postgres -d odds -Atc "select 'in', current_setting('password_encryption'), current_setting('listen_addresses'), 'ä' = lower('Ä'), now() at time zone 'Europe/Berlin' is not null"
psql -q -w -h 127.0.0.1 -U postgres -d odds -c 'create extension pgcrypto' -c 'create table t as select 42 as x'
echo '127.0.0.1:*:*:*:wrong' >/tmp/pass
psql -w -h 127.0.0.1 -U postgres -d odds -Atc "select 'in with a wrong password'" 2>&1 | sed 's/.*FATAL/FATAL/' | head -1
pid=$(head -1 "$PGDATA/postmaster.pid")
tr '\0' '\n' </proc/$pid/environ | grep -c POSTGRES_ || true
kill -INT $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done
docker-entrypoint.sh postgres >>/tmp/log 2>&1 &
for i in $(seq 600); do pg_isready -q -h 127.0.0.1 && break; sleep 0.1; done
psql -U postgres -d odds -Atc 'select x from t'
grep -c 'database was created' /tmp/log
`

func TestPostgres_FromDebianPackages(t *testing.T) {
	e := connect(t)
	info, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := Maker{}
	begun := time.Now()
	offer, err := m.Offer(t.Context(), info.Arch)
	if err != nil {
		t.Fatal(err)
	}
	offered := time.Since(begun)
	archive, err := m.Postgres(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("offer %.1f s, image %.1f s, %.1f MB", offered.Seconds(), (time.Since(begun) - offered).Seconds(), float64(archive.Size)/1e6)
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	if _, err := e.LoadImage(t.Context(), stream); err != nil { // it may serve others, and stays
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "PW")
	if err := os.WriteFile(file, []byte(password), 0o444); err != nil {
		t.Fatal(err)
	}
	result, err := e.RunProbe(t.Context(), docker.Probe{
		Image: offer.Ref, Labels: labels(), Entrypoint: []string{"/usr/bin/env", "POSTGRES_PASSWORD_FILE=/run/secrets/PW", "POSTGRES_DB=odds", "/bin/sh", "-c", tryPostgres},
		Mounts: []docker.Mount{{Type: "bind", Source: file, Destination: "/run/secrets/PW", ReadOnly: true}}, Deadline: 3 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(result.Stdout)), "\n")
	want := []string{"in|scram-sha-256|*|t|t", `FATAL:  password authentication failed for user "postgres"`, "0", "42", "1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q\nerrors %s", got, want, result.Stderr)
	}
}

func TestImage_HasOneIDOnTheEngine(t *testing.T) {
	e := connect(t)
	one := small()
	one.ref = ref("one")
	two := small()
	two.ref = ref("two")
	first, second := load(t, e, mustBuild(t, one).Archive), load(t, e, mustBuild(t, two).Archive)
	if first.ID != second.ID {
		t.Errorf("ids %s and %s", first.ID, second.ID)
	}
}
