//go:build unix

package compose

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

// exported is an environment with exported values.
func exported(name string) (string, bool) {
	value, ok := map[string]string{
		"PATH": "/bin", "HOME": "/home/joe", "DOCKER_HOST": "unix:///run/x.sock",
		"THE_ODDS_API_KEY": "canary-exported", "COMPOSE_ENV_FILES": ".env", "COMPOSE_FILE": "other.yml", "GOPROXY": "off",
	}[name]
	return value, ok
}

// toolOf returns a Tool over the stand-in docker-compose.
func toolOf(p programs, talk fault.Progress, prefix ...string) Tool {
	return Tool{Path: filepath.Join(p.dir, "docker-compose"), Prefix: prefix, Version: "5.5.1", talk: talk, getenv: exported}
}

// project is a composition in a directory with an .env.
func project(t *testing.T) stack.Composition {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("THE_ODDS_API_KEY=canary-env\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return stack.Composition{
		Project: "p", Dir: dir, Files: []string{filepath.Join(dir, "a.yml"), filepath.Join(dir, "b.yml")},
		Variables: map[string]string{"KEEPMUM_POSTGRES_IMAGE": "x:1"},
	}
}

func TestCommandsAndTheirArguments(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(context.Context, Tool, stack.Composition) error
		want []string
	}{
		{"up", func(ctx context.Context, tool Tool, c stack.Composition) error { return tool.Up(ctx, c) }, []string{"up", "--detach", "--no-build", "--quiet-pull"}},
		{"down", func(ctx context.Context, tool Tool, c stack.Composition) error { return tool.Down(ctx, c, false) }, []string{"down"}},
		{"down with volumes", func(ctx context.Context, tool Tool, c stack.Composition) error { return tool.Down(ctx, c, true) }, []string{"down", "--volumes"}},
		{"config", func(ctx context.Context, tool Tool, c stack.Composition) error {
			_, err := tool.Config(ctx, c)
			return err
		}, []string{"config"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, c := newPrograms(t), project(t)
			p.add("docker-compose", behaviour{Version: "5.5.1"})
			if err := test.call(t.Context(), toolOf(p, fault.Quiet{}, "compose"), c); err != nil {
				t.Fatal(err)
			}
			calls := p.calls("docker-compose")
			if len(calls) != 1 {
				t.Fatalf("%d calls", len(calls))
			}
			args := calls[0].Args
			at := slices.Index(args, "--env-file")
			want := append([]string{"compose", "--project-name", "p", "--project-directory", c.Dir, "--env-file", args[at+1], "--ansi", "never", "--file", c.Files[0], "--file", c.Files[1]}, test.want...)
			if !slices.Equal(args, want) {
				t.Errorf("got  %q\nwant %q", args, want)
			}
		})
	}
}

func TestTheChildSeesNoValue(t *testing.T) {
	p, c := newPrograms(t), project(t)
	p.add("docker-compose", behaviour{})
	if err := toolOf(p, fault.Quiet{}).Up(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	call := p.calls("docker-compose")[0]
	env := strings.Join(call.Env, "\n")
	for _, want := range []string{"PATH=/bin", "DOCKER_HOST=unix:///run/x.sock", "KEEPMUM_POSTGRES_IMAGE=x:1", "COMPOSE_DISABLE_ENV_FILE=true"} {
		if !slices.Contains(call.Env, want) {
			t.Errorf("the child lacks %s", want)
		}
	}
	for _, bad := range []string{"THE_ODDS_API_KEY", "COMPOSE_ENV_FILES", "COMPOSE_FILE", "GOPROXY", "canary"} {
		if strings.Contains(env+strings.Join(call.Args, "\n"), bad) {
			t.Errorf("the child sees %s", bad)
		}
	}
	if content, ok := call.Read["env-file"]; !ok || content != "" {
		t.Errorf("Compose was given an environment file of %d bytes (%v), want an empty one", len(content), ok)
	}
}

func TestLegacyModeHandsOverTheFileAndHidesNames(t *testing.T) {
	p, c := newPrograms(t), project(t)
	c.EnvFile = filepath.Join(c.Dir, ".env")
	c.Variables["THE_ODDS_API_KEY"] = ""
	p.add("docker-compose", behaviour{})
	if err := toolOf(p, fault.Quiet{}).Up(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	call := p.calls("docker-compose")[0]
	if call.Read["env-file"] != "THE_ODDS_API_KEY=canary-env\n" {
		t.Error("Compose was not given the environment file")
	}
	if !slices.Contains(call.Env, "THE_ODDS_API_KEY=") {
		t.Error("the variable that a secret file replaces is not hidden")
	}
	if slices.Contains(call.Env, "COMPOSE_DISABLE_ENV_FILE=true") {
		t.Error("the environment file is switched off")
	}
}

func TestConfigReturnsStandardOutput(t *testing.T) {
	p, c := newPrograms(t), project(t)
	p.add("docker-compose", behaviour{Stdout: "name: p\n", Stderr: []string{"a warning"}})
	talk := &recorder{}
	out, err := toolOf(p, talk).Config(t.Context(), c)
	if err != nil || string(out) != "name: p\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if talk.text() != "compose: a warning" {
		t.Errorf("said %q", talk.text())
	}
}

func TestFailuresSayWhatComposeSaid(t *testing.T) {
	for _, test := range []struct {
		name   string
		stderr []string
		legacy bool
		class  fault.Code
		want   string
		said   string
	}{
		{"the last line", []string{" Container p-a-1  Creating ", "Error response from daemon: No such image: x:1"}, false, fault.Failed, "compose up failed: Error response from daemon: No such image: x:1", "compose: Error response from daemon: No such image: x:1"},
		{"nothing said", nil, false, fault.Failed, "compose up failed: it said nothing", ""},
		{"engine gone", []string{"Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "and more"}, false, fault.NoEngine, "the engine stopped answering during compose up", "compose: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?\ncompose: and more"},
		{"legacy, engine gone, behind what may be a quote", []string{"unable to get image 'canary': Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"}, true, fault.NoEngine, "the engine stopped answering during compose up", ""},
		{"legacy, quoted line", []string{`failed to read /x/.env: line 2: unterminated quoted value "canary`}, true, fault.Failed, "compose up failed; its message is hidden because it may quote a line of .env", ""},
		{"legacy, quoted after progress", []string{"Container p-a-1 Created", `invalid: canary`}, true, fault.Failed, "compose up failed; its message is hidden because it may quote a line of .env", ""},
		{"legacy, nothing said", nil, true, fault.Failed, "compose up failed; its message is hidden because it may quote a line of .env", ""},
		{"legacy, the engine's word", []string{"Error response from daemon: port is already allocated"}, true, fault.Failed, "compose up failed: Error response from daemon: port is already allocated", "compose: Error response from daemon: port is already allocated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, c, talk := newPrograms(t), project(t), &recorder{}
			if test.legacy {
				c.EnvFile = filepath.Join(c.Dir, ".env")
			}
			p.add("docker-compose", behaviour{Stderr: test.stderr, Code: 1})
			err := toolOf(p, talk).Up(t.Context(), c)
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Code != test.class || e.What != test.want || e.Next == "" {
				t.Errorf("got %d %q (next %q)\nwant %d %q", e.Code, e.What, e.Next, test.class, test.want)
			}
			if talk.text() != test.said {
				t.Errorf("said %q\nwant %q", talk.text(), test.said)
			}
			if strings.Contains(talk.text()+err.Error(), "canary") {
				t.Error("a line of the environment file is quoted")
			}
		})
	}
}

func TestAStoppedCallEndsWithinASecond(t *testing.T) {
	for _, how := range []string{"interruptible", "stubborn"} {
		t.Run(how, func(t *testing.T) {
			p, c := newPrograms(t), project(t)
			p.add("docker-compose", behaviour{Hang: how})
			tool := toolOf(p, fault.Quiet{})
			tool.getenv = os.LookupEnv
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- tool.Up(ctx, c) }()
			sign := map[string]string{"interruptible": ".ready", "stubborn": ".grandchild"}[how]
			var pid int
			waitFor(t, "the child", func() bool {
				data, err := os.ReadFile(tool.Path + sign)
				pid, _ = strconv.Atoi(string(data))
				return err == nil && (how == "interruptible" || pid > 0)
			})
			begun := time.Now()
			cancel()
			err := <-done
			if took := time.Since(begun); took > time.Second {
				t.Errorf("took %s", took)
			}
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != fault.Interrupted || e.Next == "" {
				t.Errorf("got %v, want interrupted with the next command", err)
			}
			if how == "interruptible" {
				if _, err := os.Stat(tool.Path + ".interrupted"); err != nil {
					t.Error("the child was killed without an interrupt before")
				}
				return
			}
			waitFor(t, "the grandchild to end", func() bool { return !alive(pid) })
		})
	}
}

func TestADeadlineIsNoInterrupt(t *testing.T) {
	p, c := newPrograms(t), project(t)
	p.add("docker-compose", behaviour{Hang: "interruptible"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := toolOf(p, fault.Quiet{}).Down(ctx, c, false)
	if fault.CodeOf(err) != fault.Incomplete || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyEndsAreTold(t *testing.T) {
	p, c, talk := newPrograms(t), project(t), &recorder{}
	p.add("docker-compose", behaviour{Stderr: []string{"Network p_default Creating", "Container p-a-1 Waiting", "Container p-a-1 Removed", "a warning", "Image x:1 Pulling"}})
	if err := toolOf(p, talk).Up(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if want := "compose: Container p-a-1 Removed\ncompose: a warning\ncompose: Image x:1 Pulling"; talk.text() != want {
		t.Errorf("said %q, want %q", talk.text(), want)
	}
}

func TestQuotesNothing(t *testing.T) {
	for line, want := range map[string]bool{
		"Container keepmum-postgres-1 Creating":                               true,
		"Network keepmum_default Created":                                     true,
		"Container value with blanks Creating":                                false,
		"Container a$b Creating":                                              false,
		"Container a Creating canary":                                         false,
		"failed to read /x/.env: line 2: unexpected character":                false,
		`time="..." level=warning msg="The \"pa\" variable is not set."`:      false,
		"dependency failed to start: container keepmum-db-setup-1 exited (3)": true,
		"":  false,
		"x": false,
	} {
		if got := quotesNothing(line); got != want {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}
