package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// drainTime is how long requests in progress may take to end after the stop.
const drainTime = 4 * time.Second

// Server is an HTTP server for [Kit.Serve].
type Server struct {
	// Address is host:port, as for net.Listen.
	Address string
	// Handler answers. Kit.Serve adds the recovery from panics.
	Handler http.Handler
	// Linger is how long to go on accepting after the stop was asked for,
	// with the health endpoint failing, so that load balancers, and clients that
	// have looked up its address, stop sending requests first. Answers then end
	// their connection. Zero: none.
	Linger time.Duration
	// Listening, if not nil, is called with the address once the server accepts.
	Listening func(net.Addr)
}

// Serve listens and answers until ctx is done, then lingers, stops accepting
// and waits for the requests under way. It returns nil after such a stop.
func (k *Kit) Serve(ctx context.Context, s Server) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %s; is another program using the port?", s.Address, reason(err))
	}
	server := &http.Server{
		Handler:           leaving(ctx, k.recovering(s.Handler)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(k.Log.Handler(), slog.LevelWarn),
	}
	k.lingers(s.Linger)
	if s.Listening != nil {
		s.Listening(listener.Addr())
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("server on %s ended: %s", s.Address, reason(err))
	case <-ctx.Done():
	}
	return shutDown(ctx, server, s)
}

// shutDown lingers, then closes idle connections and waits for busy ones.
func shutDown(ctx context.Context, server *http.Server, s Server) error {
	ctx = context.WithoutCancel(ctx)
	Sleep(ctx, s.Linger)
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close() // requests that did not end in time are cut off
	}
	return nil
}

// lingers gives the program at least that much more time to stop.
func (k *Kit) lingers(d time.Duration) {
	for longest := k.linger.Load(); int64(d) > longest && !k.linger.CompareAndSwap(longest, int64(d)); {
		longest = k.linger.Load()
	}
}

// leaving has every answer after ctx is done end its connection, so that the next
// request of the client goes to another address.
func leaving(ctx context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recovering answers 500 when next panics, and logs the panic masked.
func (k *Kit) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			k.Log.Error("panic", crashed("handler", value)...)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// reason is the innermost error's text: the system's word for what failed,
// without addresses and URLs that wrapping errors add.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
