package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// ordered sends a load and returns its sum.
func ordered(t *testing.T, ctx context.Context, args ...string) loaded {
	t.Helper()
	o, err := orderOf(args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := load(ctx, o, &out); err != nil {
		t.Fatal(err)
	}
	var sum loaded
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("not one line of JSON: %v, %q", err, out.String())
	}
	return sum
}

func TestLoad_MakesANewConnectionForEachRequest(t *testing.T) {
	var mu sync.Mutex
	peers := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		peers[r.RemoteAddr] = true
		if !r.Close {
			t.Error("the connection is kept")
		}
		_, _ = w.Write([]byte("v1"))
	}))
	defer server.Close()
	sum := ordered(t, t.Context(), server.URL, "500", "40")
	if sum.Sent != 40 || sum.Failed != 0 || len(sum.Reasons) != 0 || sum.Answers["v1"] != 40 || len(peers) != 40 || sum.Slowest <= 0 {
		t.Errorf("%+v over %d connections", sum, len(peers))
	}
}

func TestLoad_KeepsTheRateWhileAnswersAreSlow(t *testing.T) {
	const count, rate = 20, 100
	var mu sync.Mutex
	var arrived []time.Time
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		arrived = append(arrived, time.Now())
		if len(arrived) == count {
			close(release) // a load that waits for answers never gets here
		}
		mu.Unlock()
		<-release
	}))
	defer server.Close()
	sum := ordered(t, t.Context(), server.URL, "100", "20", "20s")
	if sum.Failed != 0 || len(arrived) != count {
		t.Fatalf("%+v, %d arrived", sum, len(arrived))
	}
	if took := arrived[count-1].Sub(arrived[0]); took < (count-2)*time.Second/rate {
		t.Errorf("%d requests arrived within %s: faster than %d a second", count, took, rate)
	}
}

func TestLoad_CountsEveryFailureAndDescribesTheFirst(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/away":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/short":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("less"))
		}
	}))
	defer server.Close()
	for path, reason := range map[string]string{"/slow": "deadline exceeded", "/away": "302 Found", "/broken": "503 Service Unavailable", "/short": "unexpected EOF"} {
		sum := ordered(t, t.Context(), server.URL+path, "1000", "8", "300ms")
		if sum.Sent != 8 || sum.Failed != 8 || len(sum.Reasons) != mostReasons || len(sum.Answers) != 0 || !strings.Contains(sum.Reasons[0], reason) || !strings.HasPrefix(sum.Reasons[0], "at 0.") {
			t.Errorf("%s: %+v", path, sum)
		}
	}
	server.Close()
	if sum := ordered(t, t.Context(), server.URL, "1000", "3"); sum.Failed != 3 || !strings.Contains(sum.Reasons[0], "connection refused") {
		t.Errorf("nothing listens: %+v", sum)
	}
	if sum := ordered(t, t.Context(), "http://no-such-name.invalid/", "1000", "1", "1s"); sum.Failed != 1 || !strings.Contains(sum.Reasons[0], "no-such-name.invalid") && !strings.Contains(sum.Reasons[0], "deadline") {
		t.Errorf("no such name: %+v", sum)
	}
}

// Requests that were sent are answered, and no more are sent.
func TestLoad_EndsWithTheContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		_, _ = w.Write([]byte("answered"))
	}))
	defer server.Close()
	sum := ordered(t, ctx, server.URL, "10", "1000")
	if sum.Sent < 1 || sum.Sent > 5 || sum.Failed != 0 || sum.Answers["answered"] != sum.Sent {
		t.Errorf("%+v", sum)
	}
}

func TestLoaded_CountsAFewDifferentAnswersOnly(t *testing.T) {
	sum := loaded{Answers: map[string]int{}}
	for i := range 2 * mostAnswers {
		sum.add(string(rune('A'+i)), nil, 0, time.Duration(i))
	}
	sum.add("A", nil, 0, 0)
	if len(sum.Answers) != mostAnswers || sum.Answers["A"] != 2 {
		t.Errorf("%v", sum.Answers)
	}
}

func TestOrderOf_RefusesWhatItCannotSend(t *testing.T) {
	for _, line := range []string{
		"", "http://api/ 50", "http://api/ 50 10 1s more", "api 50 10", "http://%zz/ 50 10",
		"http://api/ 0 10", "http://api/ -1 10", "http://api/ NaN 10", "http://api/ Inf 10", "http://api/ fast 10",
		"http://api/ 50 0", "http://api/ 50 1.5", "http://api/ 50 10 soon", "http://api/ 50 10 0s",
	} {
		if o, err := orderOf(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), "load URL RATE COUNT") {
			t.Errorf("%q: %+v, %v", line, o, err)
		}
	}
	want := order{url: "http://api:8080/x", rate: 0.5, count: 3, timeout: loadTimeout}
	if o, err := orderOf([]string{"http://api:8080/x", "0.5", "3"}); err != nil || o != want {
		t.Errorf("%+v, %v", o, err)
	}
}

// With an address first at which nothing listens, Go's own dialler would go on to
// the second.
func TestDialFirst_TriesNoOtherAddress(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	alive, dead := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	to := func(found ...netip.Addr) error {
		dial := dialFirst(func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if network != "ip4" || host != "api" {
				t.Errorf("%s, %s", network, host)
			}
			return found, nil
		})
		conn, err := dial(t.Context(), "tcp", "api:"+port)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	if err := to(alive, dead); err != nil {
		t.Error(err)
	}
	if to(dead, alive) == nil {
		t.Error("the second address was tried")
	}
	unknown := dialFirst(func(context.Context, string, string) ([]netip.Addr, error) { return nil, net.ErrClosed })
	for _, address := range []string{"api", "api:80"} {
		if _, err := unknown(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s is connected", address)
		}
	}
}
