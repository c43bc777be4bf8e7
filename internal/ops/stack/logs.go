package stack

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/redact"
)

const (
	logsEvery  = time.Second // between looks for new containers
	maxLogLine = 1 << 20     // bytes of a line that is waited for to its end
)

// LogsOptions says which logs are shown.
type LogsOptions struct {
	Out     io.Writer
	Service string // empty: all
	Follow  bool   // until the context ends
	Tail    int    // last lines of each container; 0: all
	Since   time.Time
}

// LogsResult says whose logs were shown.
type LogsResult struct {
	Shown    []string `json:"shown"`    // services
	Withheld []string `json:"withheld"` // services
}

// Logs shows the logs of the stack's containers, masked, as lines of the form
// "SERVICE | TEXT". Lines of different containers are mixed as they come; each
// is whole. With Follow the end of ctx is not an error.
//
// A container may hold a value that is no longer known here, and a value that
// is not known cannot be masked: the log of a service whose digest says that it
// holds an older one is withheld.
func (s *Stack) Logs(ctx context.Context, o LogsOptions) (LogsResult, error) {
	state, at, closeAll, err := s.open(ctx)
	if o.Follow && fault.CodeOf(err) == fault.Interrupted {
		return LogsResult{}, nil
	}
	if err != nil {
		return LogsResult{}, err
	}
	defer closeAll()
	if _, ok := state.Manifest.Service(o.Service); !ok && o.Service != "" {
		return LogsResult{}, wrongService(state.Manifest, o.Service)
	}
	known, err := s.Project.Known(state)
	if err != nil {
		return LogsResult{}, err
	}
	matcher := redact.New(known)
	if short := matcher.Unmasked(); len(short) > 0 {
		s.Project.Progress.Say("warning: too short to be found in a log, and therefore not masked: %s", strings.Join(short, ", "))
	}
	digests, _ := s.Project.Digests(state, false) // without a key the answer is unknown
	reader := logReader{
		options: o, progress: s.Project.Progress, engine: at.Engine, m: state.Manifest, project: s.Project.ComposeProject(state.Manifest),
		digests: digests, matcher: matcher, out: &lineGate{w: o.Out}, seen: map[string]time.Time{}, running: map[string]bool{}, barred: map[string]bool{},
	}
	err = reader.run(ctx)
	if o.Follow && ctx.Err() != nil {
		err = nil
	}
	return reader.result, err
}

// logReader reads the logs of containers, each in its own goroutine.
type logReader struct {
	options  LogsOptions
	progress fault.Progress
	engine   Engine
	m        *manifest.Manifest
	project  string
	digests  project.Digests
	matcher  *redact.Matcher
	result   LogsResult
	out      *lineGate

	wait    sync.WaitGroup
	mu      sync.Mutex
	seen    map[string]time.Time // when the last reading of a container's log ended
	running map[string]bool      // containers whose log is being read
	barred  map[string]bool      // containers whose log is withheld, however often they start
	failed  error
}

// run starts a reading for each container, and with Follow for each that
// appears or starts again later.
func (r *logReader) run(ctx context.Context) error {
	defer r.wait.Wait()
	tick := time.NewTicker(logsEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		all, err := project.ServiceContainers(ctx, r.engine, r.project)
		if err != nil {
			return err
		}
		for _, c := range all {
			if r.options.Service == "" || c.Service == r.options.Service {
				r.begin(ctx, c, first)
			}
		}
		if first && len(r.result.Shown)+len(r.result.Withheld) == 0 && !r.options.Follow {
			return &fault.Error{Code: fault.Failed, What: "the stack has no containers here", Next: "mage stack:up"}
		}
		if !r.options.Follow {
			r.wait.Wait()
			return r.failed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		r.mu.Lock()
		failed := r.failed
		r.mu.Unlock()
		if failed != nil {
			return failed
		}
	}
}

// begin starts reading one container's log unless it is being read, was read to
// its end, or is withheld.
func (r *logReader) begin(ctx context.Context, c docker.Container, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ended, was := r.seen[c.ID]
	if r.running[c.ID] || r.barred[c.ID] || was && !(c.State == "running" && c.Started.After(ended)) {
		return
	}
	if !was && !r.allowed(c) {
		r.barred[c.ID] = true
		return
	}
	opt := docker.LogOptions{Follow: r.options.Follow, Tail: r.options.Tail, Since: r.options.Since}
	if was {
		opt.Tail, opt.Since = 0, c.Started
	} else if !first {
		opt.Tail, opt.Since = 0, time.Time{}
	}
	r.running[c.ID] = true
	r.wait.Add(1)
	go func() {
		defer r.wait.Done()
		err := r.read(ctx, c, opt)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running[c.ID], r.seen[c.ID] = false, time.Now()
		if err != nil && ctx.Err() == nil && fault.CodeOf(err) == fault.NoEngine {
			r.failed = err
		}
	}()
}

// allowed reports whether a container's values are all known, and says so where
// not.
func (r *logReader) allowed(c docker.Container) bool {
	service, declared := r.m.Service(c.Service)
	service.Name = c.Service
	holds := r.digests.Freshness(service, c)
	if holds == project.Stale {
		r.result.Withheld = append(r.result.Withheld, c.Service)
		next := "mage stack:up gives it the new one"
		if !declared {
			next = r.m.File + " does not declare it any more"
		}
		r.progress.Say("%s: log withheld: it holds an older value, which is not known here and cannot be masked; %s", c.Service, next)
		return false
	}
	if holds == project.Unknown {
		r.progress.Say("warning: %s was not started by stack:up with this key: only the values that are in secrets/ now are masked", c.Service)
	}
	r.result.Shown = append(r.result.Shown, c.Service)
	return true
}

// read copies one log. Each stream of each container has its own masker,
// so that a value that is cut by the other stream's line is still found.
func (r *logReader) read(ctx context.Context, c docker.Container, opt docker.LogOptions) error {
	prefix := c.Service + " | "
	var streams [2]*redact.Writer
	var lines [2]*linePrefix
	for i := range streams {
		lines[i] = &linePrefix{out: r.out, prefix: prefix}
		streams[i] = r.matcher.Writer(lines[i])
	}
	err := r.engine.ContainerLogs(ctx, c.ID, opt, streams[0], streams[1])
	for i := range streams {
		_ = streams[i].Close()
		lines[i].end()
	}
	return err
}

// lineGate lets one line at a time through.
type lineGate struct {
	mu sync.Mutex
	w  io.Writer
}

// line writes one line. An error of the writer has nowhere to go: the reader
// of a pipe that closed it wants no more.
func (g *lineGate) line(prefix string, text []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = g.w.Write(append(append([]byte(prefix), text...), '\n'))
}

// linePrefix cuts what is written into lines and writes each with a prefix.
type linePrefix struct {
	out    *lineGate
	prefix string
	part   []byte
}

// Write never fails.
func (p *linePrefix) Write(data []byte) (int, error) {
	rest := data
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			p.part = append(p.part, rest...)
			if len(p.part) > maxLogLine {
				p.end()
			}
			return len(data), nil
		}
		p.part = append(p.part, rest[:end]...)
		p.out.line(p.prefix, bytes.TrimSuffix(p.part, []byte("\r")))
		p.part = p.part[:0]
		rest = rest[end+1:]
	}
}

// end writes a last line that has no end.
func (p *linePrefix) end() {
	if len(p.part) > 0 {
		p.out.line(p.prefix, p.part)
		p.part = p.part[:0]
	}
}
