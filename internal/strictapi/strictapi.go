// Package strictapi asks the reference stack's API on this machine.
package strictapi

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// timeout is for one request; maxBody bounds an answer, in bytes.
const (
	timeout = 5 * time.Second
	maxBody = 4 << 20
)

// Client asks strict-api on 127.0.0.1.
type Client struct {
	Port string // empty: 8090
}

// Get asks for a path, with a bearer token if one is given, and returns the
// status and body of the answer. The error has the code [fault.Failed] and does
// not say what the server or the transport said: that could hold the token.
func (c Client) Get(ctx context.Context, path string, token secrets.Secret) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := "127.0.0.1:" + cmp.Or(c.Port, "8090")
	failed := &fault.Error{Code: fault.Failed, What: "strict-api does not answer on " + address, Next: "docker ps --filter name=strict-api"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, nil, failed
	}
	if !token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+token.RevealString())
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, failed
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, maxBody)); err != nil {
		return 0, nil, failed
	}
	return response.StatusCode, body, nil
}
