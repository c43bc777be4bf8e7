// Package console is where keepmum meets a person or a program: streams,
// signals, tables, JSON and exit codes.
//
// # Rules
//
// Standard output is data: a table, or with -json one document of a stable
// schema. Standard error is talk: progress, hints, errors; one plain line at a
// time, never coloured, never animated. Every line of talk goes through a
// masker when one is set.
//
// [Run] is the frame of every target. It gives the target a context that ends
// at the first SIGINT or SIGTERM and at the deadline, turns a panic into an
// error without its text, and ends in [Console.Exit], the only maker of mage's
// fatal error: mage recognises its exit code on the outermost error alone. With
// [WithStreams] a target runs in a test, over buffers.
package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/magefile/mage/mg"
	"golang.org/x/term"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Streams are what a command reads and writes.
type Streams struct {
	In     io.Reader
	Out    io.Writer
	ErrOut io.Writer
}

// Console is the streams of one command, and what masks them. The zero value is
// not usable: New makes one, Run makes one for the process's own streams.
type Console struct {
	Streams

	mu     sync.Mutex
	masker *redact.Matcher
}

// New returns a console over the given streams.
func New(in io.Reader, out, errOut io.Writer) *Console {
	return &Console{Streams: Streams{in, out, errOut}}
}

// Mask makes every later line of talk, and every table, go through a matcher
// of the given values.
func (c *Console) Mask(known []secrets.Known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.masker = redact.New(known)
}

// Say writes one line of talk to standard error.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.ErrOut, c.masker.String(fmt.Sprintf(format, args...)))
}

// Table writes rows to standard output under their headers, in columns that
// are as wide as they need to be.
func (c *Console) Table(headers []string, rows [][]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{headers}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = cell; cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	_, err := io.WriteString(c.Out, c.masker.String(strings.Join(lines, "\n")+"\n"))
	return err
}

// Print writes one line of data to standard output.
func (c *Console) Print(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintln(c.Out, c.masker.String(fmt.Sprintf(format, args...)))
	return err
}

// JSON writes v to standard output as one indented document. A list that is
// nil is written as an empty one, so that a program may always go through it.
func (c *Console) JSON(v any) error {
	data, err := json.MarshalIndent(withLists(v), "", "  ")
	if err != nil {
		return errors.New("the result cannot be written as JSON")
	}
	return c.Print("%s", data)
}

// withLists returns v with every nil list replaced by an empty one.
func withLists(v any) any {
	if v == nil {
		return nil
	}
	whole := reflect.New(reflect.TypeOf(v)).Elem()
	whole.Set(reflect.ValueOf(v))
	fill(whole)
	return whole.Interface()
}

// fill replaces each nil list below v by an empty one.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Field(i); field.CanSet() {
				fill(field)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	}
}

// Piped returns standard input, or nil if that is a terminal, where nobody has
// written anything yet.
func (c *Console) Piped() io.Reader {
	if file, isFile := c.In.(*os.File); isFile && term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return c.In
}

// ReadValue reads a value for name: from standard input to its end unless that
// is a terminal, else by a prompt that does not show what is typed.
func (c *Console) ReadValue(ctx context.Context, name string, limit int) (secrets.Secret, error) {
	type answer struct {
		value []byte
		err   error
	}
	got := make(chan answer, 1)
	file, isFile := c.In.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	restore := func() {}
	if terminal {
		if state, err := term.GetState(int(file.Fd())); err == nil {
			restore = func() { _ = term.Restore(int(file.Fd()), state) }
		}
		fmt.Fprintf(c.ErrOut, "value of %s (not shown): ", name)
	}
	go func() {
		if terminal {
			value, err := term.ReadPassword(int(file.Fd()))
			fmt.Fprintln(c.ErrOut)
			got <- answer{value, err}
			return
		}
		value, err := io.ReadAll(io.LimitReader(c.In, int64(limit)+1))
		got <- answer{value, err}
	}()
	select {
	case <-ctx.Done():
		restore()
		return secrets.Secret{}, &fault.Error{Code: fault.Interrupted, What: "interrupted before a value was read; nothing was changed", Next: "mage secrets:set " + name, Cause: ctx.Err()}
	case a := <-got:
		if a.err != nil {
			return secrets.Secret{}, &fault.Error{Code: fault.Failed, What: "the value could not be read from standard input", Next: "mage secrets:set " + name + " < FILE"}
		}
		return secrets.New(a.value), nil
	}
}

// streamsKey is the key of the streams in a context.
type streamsKey struct{}

// WithStreams returns a context in which [Run] uses the given streams in place
// of the process's own. So a test calls a target, whose arguments mage decides,
// over buffers.
func WithStreams(ctx context.Context, streams Streams) context.Context {
	return context.WithValue(ctx, streamsKey{}, streams)
}

// Run is the frame of a target: [RunWith] over the streams of the context, or
// the process's own.
func Run(ctx context.Context, limit time.Duration, fn func(context.Context, *Console) error) error {
	streams, ok := ctx.Value(streamsKey{}).(Streams)
	if !ok {
		streams = Streams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	}
	return RunWith(ctx, streams, limit, fn)
}

// RunWith calls fn with a context that ends at the first SIGINT or SIGTERM and
// after limit (no limit if it is 0), and returns what mage is to exit with.
func RunWith(ctx context.Context, streams Streams, limit time.Duration, fn func(context.Context, *Console) error) error {
	c := &Console{Streams: streams}
	signalled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	limited := signalled
	if limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(signalled, limit)
		defer cancel()
	}
	err := c.guard(limited, fn)
	switch {
	case err == nil:
		return nil
	case signalled.Err() != nil:
		err = interrupted(err)
	case limited.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		err = &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("not done after %s: %s", limit, text(err)), Next: nextOf(err), Cause: err}
	}
	return c.Exit(err)
}

// guard calls fn and turns a panic into an error without its text, which may hold
// a value.
func (c *Console) guard(ctx context.Context, fn func(context.Context, *Console) error) (err error) {
	defer func() {
		if recover() != nil {
			err = &fault.Error{Code: fault.Failed, What: "internal error (panic); details are hidden because they may contain a secret", Next: "report it with the command and the version: mage version"}
		}
	}()
	return fn(ctx, c)
}

// interrupted turns an error into that of a signal: the state stays in the text,
// and there is a command that continues.
func interrupted(err error) error {
	var said *fault.Error
	next := cmp.Or(nextOf(err), "run the same command again")
	switch {
	case errors.As(err, &said) && said.Code == fault.Interrupted:
		with := *said
		with.Next = next
		return &with
	case said == nil && errors.Is(err, context.Canceled):
		return &fault.Error{Code: fault.Interrupted, What: "interrupted", Next: next, Cause: err}
	}
	return &fault.Error{Code: fault.Interrupted, What: "interrupted: " + text(err), Next: next, Cause: err}
}

// text is the error's text, or plain words for a bare context error.
func text(err error) string {
	if err == context.DeadlineExceeded || err == context.Canceled {
		return "no answer yet"
	}
	return err.Error()
}

// nextOf returns the hint of the first *fault.Error in the chain.
func nextOf(err error) string {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.Next
	}
	return ""
}

// Exit returns the error that makes mage print err, masked and with its hints,
// and exit with the code of its class. It is the last call of a target.
func (c *Console) Exit(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return mg.Fatal(int(fault.CodeOf(err)), c.masker.String(Describe(err)))
}

// Describe renders an error for a person: what is wrong, each finding with
// its place and hint, and the next command on its own line.
func Describe(err error) string {
	var e *fault.Error
	if !errors.As(err, &e) {
		return text(err)
	}
	lines := []string{e.What}
	for _, finding := range e.Findings {
		lines = append(lines, "  "+finding.String())
		if finding.Next != "" && finding.Next != e.Next {
			lines = append(lines, "    next: "+finding.Next)
		}
	}
	if e.Next != "" {
		lines = append(lines, "next: "+e.Next)
	}
	return strings.Join(lines, "\n")
}
