// Package reaper removes what the tests of a binary have made on the engine,
// also when they are killed and none of their own cleanups runs: the part that
// Ryuk has in testcontainers, without an image that has to be pulled.
//
//	func TestMain(m *testing.M) {
//		os.Exit(reaper.Main(func(mark string) int {
//			name = "test-" + mark // of what the tests make
//			return m.Run()
//		}, reaper.Clean)) // called where the tests do not end by themselves
//	}
//
// A process of the same binary stands by, in a session of its own, which no
// signal to the tests reaches. It holds the other end of a pipe that the system
// closes when the tests end, however they end. On Windows, which has no such
// sessions, no reaper stands by.
package reaper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// variable has the mark in the environment of a reaper, and nowhere else.
	variable = "KEEPMUM_TEST_REAPER"
	// patience is how long a reaper may work.
	patience = 3 * time.Minute
	// goodbye is what tests that end by themselves send to their reaper.
	goodbye = "done"
)

// Main runs the tests and returns their exit code. If the process is killed, or
// exits before the tests return, clean is called in the reaper, with a deadline.
// The mark is a random word of lower-case letters and digits, the same for both,
// by which the tests can name what they make. It is 1 if no reaper can be
// started: then the tests do not run.
func Main(tests func(mark string) int, clean func(ctx context.Context, mark string) error) int {
	if mark, is := os.LookupEnv(variable); is {
		return wait(os.Stdin, mark, clean)
	}
	mark := strings.ToLower(rand.Text()[:12])
	dismiss, err := standBy(mark)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the reaper of these tests cannot be started:", err)
		return 1
	}
	code := tests(mark)
	dismiss()
	return code
}

// wait is the life of a reaper. Nobody hears it when it fails: the next run
// of the tests may try again.
func wait(alive io.Reader, mark string, clean func(context.Context, string) error) int {
	if said, _ := io.ReadAll(alive); string(said) == goodbye {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := clean(ctx, mark); err != nil {
		return 1
	}
	return 0
}

// standBy starts the reaper of this process. What it returns ends it.
func standBy(mark string) (dismiss func(), err error) {
	session := ownSession()
	if session == nil {
		return func() {}, nil
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+mark)
	cmd.SysProcAttr = session
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_, err := io.WriteString(alive, goodbye)
		_ = errors.Join(err, alive.Close(), cmd.Wait()) // it has nothing to do, so its verdict says nothing
	}, nil
}
