package mounts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/mounts"
)

// file has two services of one user by number, one by name, and one of its
// image's own.
const file = `name: shop
services:
  api:
    image: shop/api
    user: "65532:65532"
    secrets: [LOGIN, TOKEN]
  worker:
    image: shop/worker
    user: "65532:65532"
    secrets: [LOGIN]
  db:
    image: shop/db
    user: postgres
    secrets: [ADMIN]
  proxy:
    image: shop/proxy
    secrets: [TOKEN]
secrets:
  ADMIN: {file: ./secrets/ADMIN, x-keepmum: {description: of the database}}
  LOGIN: {file: ./secrets/LOGIN, x-keepmum: {description: of the services}}
  TOKEN: {file: ./secrets/TOKEN, x-keepmum: {description: of the clients}}
`

// engine answers probes.
type engine struct {
	info    docker.Info
	infoErr error
	answers map[string]string // by path; none: ok
	silent  bool
	err     error
	then    func()
	probes  []docker.Probe
}

func (e *engine) Info(context.Context) (docker.Info, error) { return e.info, e.infoErr }

func (e *engine) RunProbe(_ context.Context, p docker.Probe) (docker.ProbeResult, error) {
	e.probes = append(e.probes, p)
	if e.then != nil {
		e.then()
	}
	if e.err != nil || e.silent {
		return docker.ProbeResult{ExitCode: 7}, e.err
	}
	var out strings.Builder
	for _, path := range p.Cmd {
		word := "ok"
		if answer, ok := e.answers[path]; ok {
			word = answer
		}
		fmt.Fprintln(&out, word, path)
	}
	return docker.ProbeResult{Stdout: []byte(out.String())}, nil
}

// recorder keeps what is said.
type recorder struct{ bytes.Buffer }

func (r *recorder) Say(format string, args ...any) { fmt.Fprintf(&r.Buffer, format+"\n", args...) }

// check is a proof over the file; without names the secrets that have no value.
func check(t *testing.T, e *engine, without ...string) (mounts.Check, *recorder) {
	t.Helper()
	m, findings := manifest.Parse("docker-compose.yml", []byte(file))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	said := &recorder{}
	return mounts.Check{
		Engine: e, Manifest: m, HasProbe: true, Progress: said,
		InFile: func(name string) bool { return !slices.Contains(without, name) },
		Source: func(file string) string { return "/on/the/engine/" + file },
	}, said
}

func TestRun_TriesEachUserOnceWithItsRealMounts(t *testing.T) {
	e := &engine{}
	c, said := check(t, e)
	if err := c.Run(t.Context()); err != nil || said.Len() > 0 {
		t.Fatalf("%v, said %q", err, said.String())
	}
	var got []string
	for _, p := range e.probes {
		var of []string
		for _, m := range p.Mounts {
			of = append(of, fmt.Sprintf("%s=%s", m.Destination, strings.TrimPrefix(m.Source, "/on/the/engine/")))
			if m.Type != "bind" || !m.ReadOnly {
				t.Errorf("%+v is not a read-only bind mount", m)
			}
		}
		if !p.ReadOnly {
			t.Errorf("the probe of %q may write", p.User)
		}
		got = append(got, fmt.Sprintf("%s in %s: %s", p.User, p.Image, strings.Join(of, " ")))
	}
	slices.Sort(got)
	want := []string{
		" in shop/proxy: /run/secrets/TOKEN=secrets/TOKEN",
		"65532:65532 in " + images.ProbeImage + ": /run/secrets/LOGIN=secrets/LOGIN /run/secrets/TOKEN=secrets/TOKEN",
		"postgres in shop/db: /run/secrets/ADMIN=secrets/ADMIN",
	}
	if !slices.Equal(got, want) {
		t.Errorf("probes\n%q, want\n%q", got, want)
	}
}

func TestRun_LeavesOutWhatHasNoFile(t *testing.T) {
	e := &engine{}
	c, _ := check(t, e, "ADMIN", "TOKEN")
	if err := c.Run(t.Context()); err != nil || len(e.probes) != 1 || !slices.Equal(e.probes[0].Cmd, []string{"/run/secrets/LOGIN"}) {
		t.Errorf("%v, probes %+v", err, e.probes)
	}
}

func TestRun_UsesTheServicesShellWithoutTheProbeImage(t *testing.T) {
	e := &engine{}
	c, _ := check(t, e, "ADMIN")
	c.HasProbe = false
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range e.probes {
		if p.Image == images.ProbeImage || p.Image == "shop/proxy" && (len(p.Entrypoint) == 0 || p.Entrypoint[0] != "/bin/sh") {
			t.Errorf("probe %+v", p)
		}
	}
}

func TestRun_NamesTheCause(t *testing.T) {
	for name, test := range map[string]struct {
		info      docker.Info
		word      string
		what, now string
	}{
		"SELinux":              {docker.Info{SELinux: true}, "denied", "user 65532:65532 of api cannot read it: its mode is right and the engine uses SELinux", "chcon -Rt container_file_t secrets"},
		"user namespaces":      {docker.Info{UsernsRemap: true}, "denied", "the engine maps users", "namei -l secrets/TOKEN"},
		"rootless":             {docker.Info{Rootless: true}, "denied", "the engine maps users", "namei -l secrets/TOKEN"},
		"an access list":       {docker.Info{}, "denied", "an access list refuses the user", "getfacl secrets/TOKEN"},
		"a directory":          {docker.Info{}, "directory", "the engine mounts a directory in its place", "keep the project where the engine can mount it from"},
		"another machine":      {docker.Info{}, "missing", "user 65532:65532 of api finds no file", "keep the project where the engine can mount it from"},
		"an empty file":        {docker.Info{}, "empty", "the engine mounts an empty file", "mage secrets:set TOKEN"},
		"an i/o error":         {docker.Info{}, "broken", "the file system refuses", "keep the project on a local file system"},
		"no answer for a path": {docker.Info{}, "", "the file system refuses", "local file system"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{info: test.info, answers: map[string]string{"/run/secrets/TOKEN": test.word}}
			c, _ := check(t, e)
			c.Manifest.Services = slices.DeleteFunc(c.Manifest.Services, func(s manifest.Service) bool { return s.Name == "proxy" })
			var refused *fault.Error
			if err := c.Run(t.Context()); !errors.As(err, &refused) || refused.Code != fault.Invalid || len(refused.Findings) != 1 || refused.Next == "" {
				t.Fatalf("got %v", err)
			}
			f := refused.Findings[0]
			if f.File != "secrets/TOKEN" || f.Subject != "TOKEN" || !strings.Contains(f.Problem, test.what) || !strings.Contains(f.Next, test.now) {
				t.Errorf("finding %+v, want %q and %q", f, test.what, test.now)
			}
		})
	}
}

func TestRun_ReportsEveryUserAtOnce(t *testing.T) {
	e := &engine{answers: map[string]string{"/run/secrets/TOKEN": "denied", "/run/secrets/ADMIN": "denied"}}
	c, _ := check(t, e)
	var refused *fault.Error
	if err := c.Run(t.Context()); !errors.As(err, &refused) || len(refused.Findings) != 3 {
		t.Fatalf("got %v, want three findings", err)
	}
	if !strings.Contains(refused.Error(), "the image's user of proxy cannot read it") {
		t.Errorf("the image's own user is not named: %v", refused)
	}
}

func TestRun_ReportsMountsThatTheEngineRefuses(t *testing.T) {
	for _, text := range []string{"bind source path does not exist: /x", "invalid mount config for type", "Mounts denied: ", "path /x is not shared from the host"} {
		c, _ := check(t, &engine{err: &fault.Error{Code: fault.Failed, What: text}}, "ADMIN", "TOKEN")
		if err := c.Run(t.Context()); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "the engine cannot mount the files") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRun_SaysWhatItCouldNotTry(t *testing.T) {
	for part, e := range map[string]*engine{
		"no such image":                           {err: &fault.Error{Code: fault.Failed, What: "no such image"}},
		"the probe ended with 7 and said nothing": {silent: true},
	} {
		c, said := check(t, e, "ADMIN", "TOKEN")
		if err := c.Run(t.Context()); err != nil || !strings.Contains(said.String(), "whether user 65532:65532 of api, worker can read its secrets was not tried: "+part) {
			t.Errorf("%v, said %q", err, said.String())
		}
	}
	c, said := check(t, &engine{}, "LOGIN", "TOKEN")
	c.HasProbe = false
	c.Manifest.Services = slices.Clone(c.Manifest.Services)
	for i := range c.Manifest.Services {
		c.Manifest.Services[i].Image = ""
	}
	if err := c.Run(t.Context()); err != nil || !strings.Contains(said.String(), "there is no image to try it with") {
		t.Errorf("without an image: %v, said %q", err, said.String())
	}
}

func TestRun_EndsWhenTheEngineOrTheContextDoes(t *testing.T) {
	gone := &fault.Error{Code: fault.NoEngine, What: "gone"}
	for name, e := range map[string]*engine{"info": {infoErr: gone}, "probe": {err: gone}} {
		c, _ := check(t, e)
		if err := c.Run(t.Context()); !errors.Is(err, gone) || len(e.probes) > 1 {
			t.Errorf("%s: %v after %d probes", name, err, len(e.probes))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := &engine{then: cancel}
	c, _ := check(t, e)
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) || len(e.probes) != 1 {
		t.Errorf("an ended context: %v after %d probes", err, len(e.probes))
	}
}
