package service

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// lingering is a server that goes on answering after its stop.
type lingering struct {
	url   string
	kit   *Kit
	stop  context.CancelFunc
	ended chan error
}

// linger starts a server with a Linger and waits until it listens.
func linger(t *testing.T, d time.Duration) *lingering {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &lingering{
		kit: newKit(ctx, "example", slog.New(slog.NewJSONHandler(io.Discard, nil)), secrets.Report{}), stop: stop, ended: make(chan error, 1),
	}
	t.Cleanup(func() { l.kit.cancel(nil) })
	address := make(chan net.Addr, 1)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "whole") })
	go func() {
		l.ended <- l.kit.Serve(ctx, Server{Address: "127.0.0.1:0", Handler: answer, Linger: d, Listening: func(a net.Addr) { address <- a }})
	}()
	select {
	case a := <-address:
		l.url = "http://" + a.String()
	case err := <-l.ended:
		t.Fatal(err)
	}
	return l
}

// get asks with a client and returns whether there was an answer, and whether it
// ended its connection.
func (l *lingering) get(t *testing.T, client *http.Client) (answered, closed bool) {
	t.Helper()
	response, err := client.Get(l.url)
	if err != nil {
		return false, false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "whole" {
		t.Errorf("answered %q, %v", body, err)
	}
	return true, response.Close
}

func TestServe_LingersWithTheConnectionsEnded(t *testing.T) {
	t.Parallel()
	const d = 700 * time.Millisecond
	l := linger(t, d)
	kept := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	if answered, closed := l.get(t, kept); !answered || closed {
		t.Fatalf("before the stop: answered %v, connection ended %v", answered, closed)
	}
	begun := time.Now()
	l.stop()
	answers := 0
	for running := true; running; {
		select {
		case err := <-l.ended:
			if err != nil {
				t.Error(err)
			}
			running = false
		default:
			fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
			if answered, _ := l.get(t, fresh); answered {
				answers++
			} else if time.Since(begun) < d {
				t.Error("no answer to a new connection while it lingers")
			}
			if answered, closed := l.get(t, kept); answered && !closed {
				t.Error("the answer on a kept connection does not end it")
			}
		}
	}
	if took := time.Since(begun); answers < 3 || took < d || took > d+drainTime {
		t.Errorf("%d answers in %s", answers, took)
	}
}

func TestServe_StopsAtOnceWithoutLinger(t *testing.T) {
	t.Parallel()
	l := linger(t, 0)
	begun := time.Now()
	l.stop()
	if err := <-l.ended; err != nil || time.Since(begun) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

func TestKit_TheLongestLingerIsAddedToTheTimeToStop(t *testing.T) {
	t.Parallel()
	l := linger(t, 3*time.Second)
	l.kit.lingers(time.Second)
	if got := l.kit.stopLimit(); got != stopTime+3*time.Second {
		t.Errorf("%s to stop, want %s", got, stopTime+3*time.Second)
	}
	l.kit.lingers(5 * time.Second)
	if got := l.kit.stopLimit(); got != stopTime+5*time.Second {
		t.Errorf("%s to stop, want %s", got, stopTime+5*time.Second)
	}
}
