package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	healthDeadline = 2 * time.Second
	healthBodyMax  = 64 << 10
)

// healthAddress reads HEALTH_ADDRESS: a loopback address and a port. Absent or
// empty: 127.0.0.1:8081.
func healthAddress(lookup func(string) (string, bool)) (string, []problem) {
	text, _ := lookup("HEALTH_ADDRESS")
	if text == "" {
		return "127.0.0.1:8081", nil
	}
	address, err := netip.ParseAddrPort(text)
	if err != nil || !address.Addr().IsLoopback() || address.Port() == 0 {
		return "", []problem{{
			name: "HEALTH_ADDRESS", what: "not a loopback address and a port", next: "leave it out, or set it to one such as 127.0.0.1:8081",
		}}
	}
	return address.String(), nil
}

// healthURL is what the health subcommand asks.
func (p Program[C]) healthURL(process Process) (string, error) {
	if p.HealthURL != "" {
		return p.HealthURL, nil
	}
	address, problems := healthAddress(process.LookupEnv)
	if len(problems) > 0 {
		return "", errors.New(problems[0].String())
	}
	return "http://" + address + "/health", nil
}

// question is what the health subcommand wants to know.
type question struct {
	started bool // whether the program has ever been healthy, and answers
	secrets bool // also where the secrets are from
}

// askHealth is the health subcommand: 0 when the endpoint says ok, 1 otherwise.
func (p Program[C]) askHealth(ctx context.Context, process Process, q question) int {
	code := exitDone
	if !p.OneShot {
		url, err := p.healthURL(process)
		answer := ""
		if err == nil {
			answer, err = ask(ctx, url, q.started)
		}
		if err != nil {
			code = exitFailed
			fmt.Fprintln(process.Stdout, "failing:", err)
		} else {
			fmt.Fprintln(process.Stdout, answer)
		}
	}
	if q.secrets && !p.nameSecrets(process) {
		code = exitFailed
	}
	return code
}

// nameSecrets prints names, sources and places of the secrets as they are now,
// and reports whether all could be loaded.
func (p Program[C]) nameSecrets(process Process) bool {
	_, report, problems := p.load(process)
	loaded := slices.SortedFunc(slices.Values(report.Loaded), func(a, b secrets.Provenance) int {
		return strings.Compare(a.Name, b.Name)
	})
	for _, one := range loaded {
		fmt.Fprintf(process.Stdout, "secret %s from %s, %s\n", one.Name, one.Kind, one.Place)
	}
	for _, one := range problems {
		fmt.Fprintln(process.Stdout, one)
	}
	return len(problems) == 0
}

// ask gets url and returns its status word, or an error that names what fails.
// With started, "started, failing: " and the names are no error if the program
// was ever healthy.
func ask(ctx context.Context, url string, started bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthDeadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", errors.New("the health address is not valid")
	}
	// No proxy and no redirect: the question stays inside the container.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return "", errors.New("no answer: " + connectReason(err))
	}
	defer response.Body.Close()
	var answer HealthAnswer
	body, _ := io.ReadAll(io.LimitReader(response.Body, healthBodyMax))
	if json.Unmarshal(body, &answer) != nil {
		return "", fmt.Errorf("the answer, status %d, is not a health answer", response.StatusCode)
	}
	if response.StatusCode == http.StatusOK && answer.Status == "ok" {
		return "ok", nil
	}
	if started && answer.Started {
		return "started, failing: " + describe(answer), nil
	}
	return "", errors.New(describe(answer))
}

// describe joins names and reasons.
func describe(answer HealthAnswer) string {
	parts := slices.Clone(answer.Failing)
	for i := range parts {
		if i < len(answer.Reasons) {
			parts[i] += " (" + answer.Reasons[i] + ")"
		}
	}
	return strings.Join(parts, ", ")
}
