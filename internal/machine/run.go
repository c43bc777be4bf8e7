package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/host"
	"github.com/keepmum/keepmum/internal/proc"
)

// tailSize is how much of a daemon's log is read, in bytes.
const tailSize = 8 << 10

// daemon is a program that was started and outlives us.
type daemon struct {
	step  host.Step
	from  int64         // where its part of the log begins
	ended chan struct{} // closed when it has ended
}

// Run runs one step to its end and passes each line of its output on; if it is a
// daemon, it returns as soon as that is started. The error of a failed step has
// the last line of its output. A step that finds another program at work is
// tried again until ctx ends.
func (m *Machine) Run(ctx context.Context, step host.Step, talk fault.Progress) error {
	if len(step.Args) == 0 {
		return errors.New("a step without a command")
	}
	full := m.find(step.Args[0])
	if full == "" {
		return fmt.Errorf("%s: not found", step.Args[0])
	}
	if step.Background {
		return m.background(full, step)
	}
	for {
		err := m.foreground(ctx, full, step, talk)
		if err == nil || step.Busy == "" || !strings.Contains(err.Error(), step.Busy) {
			return err
		}
		talk.Say("  waiting for another program to finish")
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// foreground runs a step once.
func (m *Machine) foreground(ctx context.Context, full string, step host.Step, talk fault.Progress) error {
	last, isError := "", false
	output := &proc.Lines{Say: func(line string) {
		serious := strings.HasPrefix(line, "E: ") || strings.Contains(line, "error: ")
		if serious || !isError {
			last, isError = line, serious
		}
		talk.Say("  %s", line)
	}}
	err := proc.Command{Path: full, Args: step.Args[1:], Env: m.environment(), Out: output, ErrOut: output}.Run(ctx)
	output.Flush()
	if err != nil && last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// environment returns the variables that a step gets: those that any program
// needs, the proxies, and those that suppress questions.
func (m *Machine) environment() map[string]string {
	env := proc.Inherit(m.LookupEnv, append(proc.SystemNames(), proc.ProxyNames()...))
	env["PATH"] = strings.TrimPrefix(env["PATH"]+":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", ":")
	env["DEBIAN_FRONTEND"], env["NEEDRESTART_MODE"], env["LC_ALL"] = "noninteractive", "l", "C.UTF-8"
	return env
}

// background starts a daemon in a new session, with its log as output, so that
// neither our end nor a signal to our terminal reaches it.
func (m *Machine) background(full string, step host.Step) error {
	log, err := os.OpenFile(step.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("the engine's log %s cannot be written: %w", step.Log, errors.Unwrap(err))
	}
	defer func() { _ = log.Close() }()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := exec.Command(full, step.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = log, log, string(filepath.Separator), proc.Environ(m.environment())
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", full, err)
	}
	d := &daemon{step: step, from: from, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // reaps it if it ends before we do
		close(d.ended)
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.daemon = d // a fallback replaces the first
	return nil
}

// Ended returns an error if a daemon that Run started has ended, with the line of
// its log that says why.
func (m *Machine) Ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.daemon == nil {
		return nil
	}
	select {
	case <-m.daemon.ended:
		return fmt.Errorf("%s: see %s", m.daemon.lastWords(), m.daemon.step.Log)
	default:
		return nil
	}
}

// lastWords returns the last line of its log that reports a failure, or just the
// last line.
func (d *daemon) lastWords() string {
	text, err := tail(d.step.Log, d.from)
	if err != nil {
		return "it left no log"
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	words := lines[len(lines)-1]
	for _, line := range lines {
		if strings.Contains(line, "failed to start daemon") || strings.Contains(line, "failed to load listeners") || strings.Contains(line, "level=fatal") {
			words = line
		}
	}
	if words = strings.TrimSpace(words); words == "" {
		return "it wrote nothing"
	}
	return words
}

// tail reads the end of a file, not before from.
func tail(path string, from int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	from = max(from, info.Size()-tailSize)
	data, err := io.ReadAll(io.NewSectionReader(file, from, tailSize))
	return string(data), err
}
