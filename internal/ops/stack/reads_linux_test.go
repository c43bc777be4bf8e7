package stack_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/stack"
)

// opened counts how often each file of some directories is opened while fn
// runs. The kernel counts, so that no reading can hide from it.
func opened(t *testing.T, fn func(), dirs ...string) map[string]int {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for _, dir := range dirs {
		if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_OPEN); err != nil {
			t.Fatal(err)
		}
	}
	fn()
	counts := map[string]int{}
	buffer := make([]byte, 1<<16)
	for {
		n, err := syscall.Read(fd, buffer)
		if err == syscall.EAGAIN {
			return counts
		}
		if err != nil {
			t.Fatal(err)
		}
		for events := buffer[:n]; len(events) > 0; {
			mask, size := binary.NativeEndian.Uint32(events[4:]), int(binary.NativeEndian.Uint32(events[12:]))
			if mask&syscall.IN_Q_OVERFLOW != 0 {
				t.Fatal("events were lost")
			}
			name := string(bytes.TrimRight(events[syscall.SizeofInotifyEvent:syscall.SizeofInotifyEvent+size], "\x00"))
			if mask&syscall.IN_ISDIR == 0 && name != "" {
				counts[name]++
			}
			events = events[syscall.SizeofInotifyEvent+size:]
		}
	}
}

func TestUp_ReadsEachValueAndEachComposeFileOnce(t *testing.T) {
	values := []string{"ADMIN", "LOGIN", "TOKEN"}
	for name, test := range map[string]struct {
		options stack.UpOptions
		once    []string
		never   []string
	}{
		"a start":      {stack.UpOptions{}, append([]string{"docker-compose.yml"}, values...), []string{"docker-compose.env.yml"}},
		"a dry run":    {stack.UpOptions{DryRun: true}, append([]string{"docker-compose.yml"}, values...), []string{"docker-compose.env.yml"}},
		"legacy mode":  {stack.UpOptions{Legacy: true}, append([]string{"docker-compose.yml", "docker-compose.env.yml"}, values...), nil},
		"second start": {stack.UpOptions{}, append([]string{"docker-compose.yml"}, values...), []string{"docker-compose.env.yml"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if name == "second start" {
				if _, err := w.up(stack.UpOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			counts := opened(t, func() {
				if _, err := w.up(test.options); err != nil {
					t.Fatal(err)
				}
			}, w.Dir, filepath.Join(w.Dir, "secrets"))
			for _, file := range test.once {
				if counts[file] != 1 {
					t.Errorf("%s was opened %d times, want once", file, counts[file])
				}
			}
			for _, file := range test.never {
				if counts[file] != 0 {
					t.Errorf("%s was opened %d times", file, counts[file])
				}
			}
			var other []string
			for _, file := range slices.Sorted(maps.Keys(counts)) {
				other = append(other, fmt.Sprint(file, " ", counts[file]))
			}
			t.Log("opened: " + strings.Join(other, ", "))
		})
	}
}
