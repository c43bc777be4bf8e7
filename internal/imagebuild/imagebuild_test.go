//go:build linux

package imagebuild

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
)

func TestMaker_CacheDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	for given, want := range map[string]string{"/given": "/given", "": filepath.Join("/cache", "keepmum")} {
		if got, err := (Maker{CacheDir: given}).cacheDir(); err != nil || got != want {
			t.Errorf("%q: got %s, %v", given, got, err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if got, err := (Maker{}).cacheDir(); fault.CodeOf(err) != fault.Failed || !strings.HasPrefix(err.Error(), "there is no writable cache directory") {
		t.Errorf("without a home: %s, %v", got, err)
	}
}

func TestStopped(t *testing.T) {
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx   context.Context
		code  fault.Code
		what  string
		cause error
	}{
		{late, fault.Incomplete, "the deadline passed while apt was running", context.DeadlineExceeded},
		{interrupted, fault.Interrupted, "stopped while apt was running", context.Canceled},
	} {
		var e *fault.Error
		if err := stopped(test.ctx, "apt was running"); !errors.As(err, &e) || e.Code != test.code || e.What != test.what || e.Next == "" || !errors.Is(err, test.cause) {
			t.Errorf("%+v", e)
		}
	}
}
