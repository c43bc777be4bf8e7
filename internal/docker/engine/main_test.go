//go:build unix && !integration

package engine_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/keepmum/keepmum/internal/docker/engine"
)

// asSSH has the socket of an engine, for the binary of the tests as ssh.
const asSSH = "KEEPMUM_TEST_SSH"

func TestMain(m *testing.M) {
	if socket, is := os.LookupEnv(asSSH); is {
		os.Exit(relay(socket))
	}
	goleak.VerifyTestMain(m)
}

// relay joins its streams to a socket, as docker system dial-stdio does.
func relay(socket string) int {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.Close()
	}()
	_, _ = io.Copy(os.Stdout, conn)
	return 0
}

// The path of a request does not depend on how the engine is reached.
func TestAsk_OverSSH(t *testing.T) {
	socket := listen(t, &fake{API: "1.41", OS: "linux", Answers: map[string]http.HandlerFunc{"GET /services": say(200, `[7]`)}})
	fakeSSH(t, asSSH+"='"+socket+"' exec '"+os.Args[0]+"'\n")
	e, err := engine.Connect(t.Context(), engine.Options{ConfigDir: t.TempDir(), LookupEnv: env(map[string]string{"DOCKER_HOST": "ssh://me@far.example"})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if got, err := e.Ask(t.Context(), engine.Request{Doing: "asking", Method: "GET", Path: "/services"}); string(got) != "[7]" || err != nil || e.InClear() {
		t.Errorf("%s, %v", got, err)
	}
}
