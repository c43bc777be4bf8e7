// Package reaper removes what the tests of a binary have made on the engine, even
// if they are killed and none of their own clean-up runs. It replaces Ryuk of
// testcontainers, without an image that has to be pulled.
//
//	func TestMain(m *testing.M) {
//		os.Exit(reaper.Main(func(mark string) int {
//			name = "test-" + mark // of everything that the tests make
//			return m.Run()
//		}, reaper.Clean)) // called if the tests do not return
//	}
//
// [Main] starts a process of the same binary in a separate session, which no
// signal to the tests reaches. It holds the other end of a pipe that the system
// closes when the tests end, however they end. Windows has no such sessions, and
// there no reaper is started.
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
	// variable has the mark in the environment of a reaper.
	variable = "KEEPMUM_TEST_REAPER"
	// patience is the time limit of a reaper.
	patience = 3 * time.Minute
	// goodbye is sent to the reaper by tests that return.
	goodbye = "done"
)

// Main runs the tests and returns their exit code. If the process is killed, or
// exits before the tests return, the reaper calls clean, with a deadline. The
// mark is a random word of lower-case letters and digits, the same for both, for
// the names of everything that the tests make. If no reaper can be started, Main
// returns 1 without running the tests.
func Main(tests func(mark string) int, clean func(ctx context.Context, mark string) error) int {
	if mark, is := os.LookupEnv(variable); is {
		wait(os.Stdin, mark, clean)
		return 0
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

// wait is what a reaper runs. No caller sees the error of clean: the next run of
// the tests may try again.
func wait(alive io.Reader, mark string, clean func(context.Context, string) error) {
	if said, _ := io.ReadAll(alive); string(said) == goodbye {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = clean(ctx, mark)
}

// standBy starts the reaper of this process, and returns a function that ends it.
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
		_ = errors.Join(err, alive.Close(), cmd.Wait()) // it had nothing to do, so its exit code does not matter
	}, nil
}
