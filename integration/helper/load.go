package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	loadTimeout = 5 * time.Second // of one request, where none is given
	mostReasons = 5               // failures that are described
	mostAnswers = 20              // different answers that are counted
	answerSize  = 100             // bytes of an answer that are read
)

// loaded is what a load printed: one JSON line.
type loaded struct {
	Sent    int            `json:"sent"`
	Failed  int            `json:"failed"`
	Reasons []string       `json:"reasons"` // of the first failures, each with its time
	Slowest float64        `json:"slowest"` // seconds of the slowest request
	Answers map[string]int `json:"answers"` // bodies of the requests that did not fail
}

// order is a load to send.
type order struct {
	url     string
	rate    float64 // requests a second
	count   int
	timeout time.Duration // of one request
}

// orderOf reads URL RATE COUNT [TIMEOUT].
func orderOf(args []string) (order, error) {
	wrong := errors.New("load URL RATE COUNT [TIMEOUT], such as load http://api:8080/ 50 1500 2s")
	if len(args) != 3 && len(args) != 4 {
		return order{}, wrong
	}
	o := order{timeout: loadTimeout}
	at, urlErr := url.Parse(args[0])
	rate, rateErr := strconv.ParseFloat(args[1], 64)
	count, countErr := strconv.Atoi(args[2])
	var timeErr error
	if len(args) == 4 {
		o.timeout, timeErr = time.ParseDuration(args[3])
	}
	if errors.Join(urlErr, rateErr, countErr, timeErr) != nil || at.Host == "" || !(rate > 0 && rate <= 1e6) || count < 1 || o.timeout <= 0 {
		return order{}, wrong
	}
	o.url, o.rate, o.count = args[0], rate, count
	return o, nil
}

// load sends the requests of an order at its rate, whether earlier ones were
// answered or not, each with a new connection and a new question for the name,
// and never again. An answer that is not of class 2xx is a failure. When the
// context ends, it sends no more. It waits for all answers and prints the sum.
func load(ctx context.Context, o order, out io.Writer) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	sum := loaded{Reasons: []string{}, Answers: map[string]int{}}
	begun := time.Now()
	for sum.Sent < o.count && until(ctx, begun.Add(time.Duration(float64(sum.Sent)/o.rate*float64(time.Second)))) {
		sum.Sent++
		all.Go(func() {
			sent := time.Now()
			answer, err := request(context.WithoutCancel(ctx), o)
			took := time.Since(sent)
			mu.Lock()
			defer mu.Unlock()
			sum.add(answer, err, sent.Sub(begun), took)
		})
	}
	all.Wait()
	return json.NewEncoder(out).Encode(sum)
}

// until waits for a time and reports whether the context lived until then.
func until(ctx context.Context, at time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(at)):
		return ctx.Err() == nil
	}
}

// add counts one request.
func (l *loaded) add(answer string, err error, at, took time.Duration) {
	l.Slowest = max(l.Slowest, took.Seconds())
	switch _, known := l.Answers[answer]; {
	case err != nil:
		l.Failed++
		if len(l.Reasons) < mostReasons {
			l.Reasons = append(l.Reasons, fmt.Sprintf("at %.2f s: %v", at.Seconds(), err))
		}
	case known || len(l.Answers) < mostAnswers:
		l.Answers[answer]++
	}
}

// request sends one request and returns the begin of the answer.
func request(ctx context.Context, o order) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
	if err != nil {
		return "", err
	}
	once := &http.Transport{DisableKeepAlives: true, DialContext: dialFirst(net.DefaultResolver.LookupNetIP)}
	response, err := once.RoundTrip(r) // follows no redirect
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerSize))
	if err != nil {
		return "", err
	}
	if response.StatusCode/100 != 2 {
		return "", errors.New(response.Status)
	}
	return string(body), nil
}

// dialFirst returns a function that asks for the addresses of a name and connects
// to the first. Go's own dialler tries the others too, which would hide that one
// does not work.
func dialFirst(lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		found, err := lookup(ctx, "ip4", host)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp4", net.JoinHostPort(found[0].String(), port))
	}
}
