package proc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// CacheDir returns chosen, or the directory elem below keepmum's own in the
// user's cache directory if chosen is "". It creates nothing.
func CacheDir(chosen string, elem ...string) (string, error) {
	if chosen != "" {
		return chosen, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", NoCache("", err)
	}
	return filepath.Join(append([]string{cache, "keepmum"}, elem...)...), nil
}

// NoCache returns the error that the cache directory dir cannot be used; dir is
// "" if it is not known.
func NoCache(dir string, err error) error {
	return &fault.Error{
		Code: fault.Failed, What: strings.TrimSpace("no writable cache directory " + dir),
		Next: "set HOME, or XDG_CACHE_HOME to a writable directory", Cause: err,
	}
}

// Stopped returns the error of work whose context ended: fault.Incomplete
// after a deadline, fault.Interrupted after a cancellation. doing completes
// "stopped while …"; next is the hint, or "".
func Stopped(ctx context.Context, doing, next string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Error{Code: fault.Incomplete, What: "the deadline passed while " + doing, Next: next, Cause: context.DeadlineExceeded}
	}
	return &fault.Error{Code: fault.Interrupted, What: "stopped while " + doing, Next: next, Cause: context.Canceled}
}

// WithoutPasswords removes user names and passwords from the URLs in a line:
// the address of a proxy or mirror may contain them.
func WithoutPasswords(line string) string {
	return regexp.MustCompile(`://[^/@\s]+@`).ReplaceAllString(line, "://")
}
