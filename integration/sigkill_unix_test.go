//go:build unix

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// batch is a project of many secrets, with an .env for each of two sets of
// values.
type batch struct {
	t     *testing.T
	dir   string
	names []string
}

// newBatch makes a project of n secrets, whose values take a while to write.
func newBatch(t *testing.T, n int) *batch {
	t.Helper()
	b := &batch{t: t, dir: t.TempDir()}
	compose := "services:\n  api:\n    image: shop/api\n    secrets:\n"
	declared := "secrets:\n"
	for i := range n {
		name := fmt.Sprintf("SECRET_%03d", i)
		b.names = append(b.names, name)
		compose += "      - " + name + "\n"
		declared += "  " + name + ":\n    file: ./secrets/" + name + "\n"
	}
	b.write("docker-compose.yml", compose+declared)
	for _, set := range []string{"old", "new"} {
		var env strings.Builder
		for _, name := range b.names {
			env.WriteString(name + "=" + b.value(name, set) + "\n")
		}
		b.write(set+".env", env.String())
	}
	return b
}

// value is the value of a name in a set.
func (b *batch) value(name, set string) string {
	return set + "-" + name + "-" + strings.Repeat(set[:1], 20_000)
}

func (b *batch) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// start starts the binary in the project.
func (b *batch) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), keepmumBinary(b.t), args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix:///nonexistent/docker.sock")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	return cmd, &stderr
}

// must runs the binary, which has to succeed.
func (b *batch) must(args ...string) {
	b.t.Helper()
	cmd, stderr := b.start(args...)
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("%v: %v\n%s", args, err, stderr)
	}
}

// state counts the files in secrets/.
type state struct {
	old, fresh, temporary int
}

// state reads every file, and fails on one that is neither old nor new.
func (b *batch) state() state {
	b.t.Helper()
	var s state
	entries, err := os.ReadDir(filepath.Join(b.dir, "secrets"))
	if err != nil {
		b.t.Fatal(err)
	}
	temporary := regexp.MustCompile(`^\.SECRET_[0-9]{3}\.[A-Z2-7]{12}\.tmp$`)
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case temporary.MatchString(name):
			s.temporary++
			continue
		case !slices.Contains(b.names, name):
			if name != ".lock" {
				b.t.Fatalf("secrets/%s is neither a value nor a temporary file", name)
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.dir, "secrets", name))
		if err != nil {
			b.t.Fatal(err)
		}
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o444 {
			b.t.Errorf("secrets/%s has mode %s, %v", name, info.Mode(), err)
		}
		switch string(data) {
		case b.value(name, "old"):
			s.old++
		case b.value(name, "new"):
			s.fresh++
		default:
			b.t.Fatalf("secrets/%s is torn: %d bytes", name, len(data))
		}
	}
	return s
}

// progress counts the temporary files so far.
func (b *batch) progress() (temporary int) {
	entries, _ := os.ReadDir(filepath.Join(b.dir, "secrets"))
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") {
			temporary++
		}
	}
	return temporary
}

// moment is when to kill: come waits for it, and returns false if the command
// ends first.
type moment struct {
	name string
	met  func(state) bool // whether the files show that the kill came then
	come func(b *batch, ended <-chan struct{}) bool
}

// moments are any time at all, while temporary files appear, and while they are
// renamed.
func moments() []moment {
	until := func(b *batch, ended <-chan struct{}, reached func() bool) bool {
		for !reached() {
			select {
			case <-ended:
				return false
			default: // no pause: a write takes milliseconds
			}
		}
		return true
	}
	return []moment{
		{"at any time", func(state) bool { return true }, func(b *batch, ended <-chan struct{}) bool {
			select {
			case <-ended:
				return false
			case <-time.After(time.Duration(rand.Int64N(int64(120 * time.Millisecond)))):
				return true
			}
		}},
		{"while files are written", func(s state) bool { return s.temporary > 0 }, func(b *batch, ended <-chan struct{}) bool {
			some := 1 + rand.IntN(len(b.names))
			return until(b, ended, func() bool { return b.progress() >= some })
		}},
		{"while files are renamed", func(s state) bool { return s.old > 0 && s.fresh > 0 }, func(b *batch, ended <-chan struct{}) bool {
			peak, rest := 0, rand.IntN(len(b.names))
			return until(b, ended, func() bool {
				made := b.progress()
				peak = max(peak, made)
				return peak > len(b.names)*3/4 && made <= min(rest, peak-1)
			})
		}},
	}
}

// TestFromEnv_SurvivesSIGKILL kills secrets:fromEnv -prune at many moments. After
// each, every file is whole and either old or new, the .env is unchanged unless
// every file holds its value, and the next run completes the work and leaves no
// temporary file.
func TestFromEnv_SurvivesSIGKILL(t *testing.T) {
	const rounds, most = 5, 60 // of each moment; at most, until it was met
	b := newBatch(t, 80)
	b.must("secrets:fromEnv", "-file=old.env")
	killed, runs, left, mixed := 0, 0, 0, 0
	for _, at := range moments() {
		met := false
		for round := 0; round < rounds || !met && round < most; round++ {
			set := []string{"new", "old"}[round%2]
			runs++
			if b.kill(at, set) {
				killed++
			}
			s := b.whole(at, set)
			if s.old > 0 && s.fresh > 0 {
				mixed++
			}
			if s.temporary > 0 {
				left++
			}
			met = met || at.met(s)
			b.must("secrets:fromEnv", "-file="+set+".env")
			if s := b.state(); s.temporary > 0 || s.old > 0 && s.fresh > 0 {
				t.Fatalf("%s: the next run leaves %d old, %d new, %d temporary files", at.name, s.old, s.fresh, s.temporary)
			}
		}
		if !met {
			t.Errorf("%s: no run was killed then, so nothing was tested", at.name)
		}
	}
	t.Logf("killed %d of %d runs; %d left temporary files, %d a mixed batch", killed, runs, left, mixed)
}

// whole requires after a kill that no file is missing or torn, and that the .env
// was pruned either completely and last, or not at all.
func (b *batch) whole(at moment, set string) state {
	b.t.Helper()
	s := b.state()
	if s.old+s.fresh != len(b.names) {
		b.t.Fatalf("%s: %d files are missing", at.name, len(b.names)-s.old-s.fresh)
	}
	before, err := os.ReadFile(filepath.Join(b.dir, set+".env"))
	if err != nil {
		b.t.Fatal(err)
	}
	now, err := os.ReadFile(filepath.Join(b.dir, pruned))
	if err != nil {
		b.t.Fatal(err)
	}
	done := s.old == 0 && set == "new" || s.fresh == 0 && set == "old"
	if !bytes.Equal(now, before) && (!done || bytes.Count(now, []byte("#")) != len(b.names)) {
		b.t.Fatalf("%s: the .env was changed before every file had its value, or not completely", at.name)
	}
	return s
}

// pruned is the .env of the run that is killed.
const pruned = "pruned.env"

// kill runs the binary with a set of values and kills it at the moment. It
// returns false if the binary had ended.
func (b *batch) kill(at moment, set string) bool {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, set+".env"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(pruned, string(text))
	cmd, _ := b.start("secrets:fromEnv", "-prune", "-file="+pruned)
	ended := make(chan struct{})
	go func() { defer close(ended); err = cmd.Wait() }()
	if at.come(b, ended) {
		_ = cmd.Process.Signal(syscall.SIGKILL)
	}
	<-ended
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return false
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		b.t.Fatalf("ended with %v", err)
	}
	return true
}

// TestFromEnv_TwoAtOnce runs two secrets:fromEnv with different values at the
// same time: both succeed, and all files are from one of them.
func TestFromEnv_TwoAtOnce(t *testing.T) {
	b := newBatch(t, 40)
	winners := map[string]int{}
	for range 6 {
		var both sync.WaitGroup
		for _, set := range []string{"old", "new"} {
			both.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, keepmumBinary(t), "secrets:fromEnv", "-file="+set+".env")
				cmd.Dir = b.dir
				cmd.Env = append(os.Environ(), "DOCKER_HOST=unix:///nonexistent/docker.sock")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", set, err, out)
				}
			})
		}
		both.Wait()
		s := b.state()
		if s.old+s.fresh != len(b.names) || s.old > 0 && s.fresh > 0 || s.temporary > 0 {
			t.Fatalf("%d old, %d new, %d temporary files: the two runs mixed", s.old, s.fresh, s.temporary)
		}
		if s.old > 0 {
			winners["old"]++
		} else {
			winners["new"]++
		}
	}
	t.Logf("last runs: %v", winners)
}
