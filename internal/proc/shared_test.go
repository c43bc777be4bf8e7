package proc_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
)

func TestCacheDir(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Setenv("XDG_CACHE_HOME", "/cache")
		if got, err := proc.CacheDir("", "compose", "v5"); got != "/cache/keepmum/compose/v5" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, err := proc.CacheDir("chosen", "compose"); got != "chosen" || err != nil {
		t.Errorf("a chosen directory gives %q, %v", got, err)
	}
}

func TestCacheDir_WithoutHome(t *testing.T) {
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData", "home"} {
		t.Setenv(name, "")
	}
	_, err := proc.CacheDir("")
	var e *fault.Error
	if !errors.As(err, &e) || e.What != "no writable cache directory" || !strings.Contains(e.Next, "XDG_CACHE_HOME") || e.Cause == nil {
		t.Errorf("got %#v", err)
	}
	if got := proc.NoCache(filepath.Join("a", "b"), err).Error(); got != "no writable cache directory "+filepath.Join("a", "b") {
		t.Errorf("got %q", got)
	}
}

func TestStopped(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, c := range []struct {
		ctx   context.Context
		code  fault.Code
		cause error
		what  string
	}{
		{cancelled, fault.Interrupted, context.Canceled, "stopped while baking"},
		{late, fault.Incomplete, context.DeadlineExceeded, "the deadline passed while baking"},
	} {
		var e *fault.Error
		err := proc.Stopped(c.ctx, "baking", "bake again")
		if !errors.As(err, &e) || e.Code != c.code || !errors.Is(err, c.cause) || e.What != c.what || e.Next != "bake again" {
			t.Errorf("got %#v, want %q", err, c.what)
		}
	}
}

func TestWithoutPasswords(t *testing.T) {
	for line, want := range map[string]string{
		"Err:1 http://user:canary@mirror/debian x":         "Err:1 http://mirror/debian x",
		"get https://canary@proxy/mod: no; or ftp://a:b@c": "get https://proxy/mod: no; or ftp://c",
		"mail me@example.org at http://host/path@v1":       "mail me@example.org at http://host/path@v1",
		"nothing": "nothing",
	} {
		if got := proc.WithoutPasswords(line); got != want {
			t.Errorf("%q gives %q", line, got)
		}
	}
}
