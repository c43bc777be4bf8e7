// Package targettest runs a target in a test: in its own directory, over
// buffers, without an engine.
package targettest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/console"
)

// ComposeFile is the compose file of the directory: a secret that can be made,
// and one that a person must supply.
const ComposeFile = `name: shop
services:
  api:
    image: shop/api
    secrets: [TOKEN, LOGIN]
secrets:
  TOKEN: {file: ./secrets/TOKEN, x-keepmum: {description: of the API, generate: {bytes: 24, alphabet: hex}}}
  LOGIN: {file: ./secrets/LOGIN, x-keepmum: {description: of the database, min_length: 8}}
`

// Result is how a target ended.
type Result struct {
	Out  string // standard output
	Err  string // standard error, and what mage would print of the error
	Code int    // the exit code
}

// Dir makes an empty directory with the given files the current one, and lets
// no target find an engine. It returns its path.
func Dir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "no-engine.sock"))
	for _, name := range []string{"KEEPMUM_COMPOSE_FILE", "KEEPMUM_KEY_FILE", "KEEPMUM_ENV", "KEEPMUM_STACK", "KEEPMUM_SWARM_FILE", "DOCKER_CONTEXT"} {
		t.Setenv(name, "")
	}
	return dir
}

// Run calls a target with the given standard input. It fails the test if one of
// the values is in what the target printed.
func Run(t *testing.T, input string, target func(context.Context) error, values ...string) Result {
	t.Helper()
	var out, errOut bytes.Buffer
	err := target(console.WithStreams(t.Context(), console.Streams{In: strings.NewReader(input), Out: &out, ErrOut: &errOut}))
	if err != nil {
		errOut.WriteString("Error: " + err.Error() + "\n")
	}
	for _, value := range values {
		if strings.Contains(out.String()+errOut.String(), value) {
			t.Error("a value was printed")
		}
	}
	return Result{Out: out.String(), Err: errOut.String(), Code: mg.ExitStatus(err)}
}

// Want fails the test unless the target ended with the code and printed each
// part, on either stream.
func (r Result) Want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.Code, code, r.Out, r.Err)
	}
	for _, part := range parts {
		if !strings.Contains(r.Out+r.Err, part) {
			t.Errorf("no %q in\n%s%s", part, r.Out, r.Err)
		}
	}
}
