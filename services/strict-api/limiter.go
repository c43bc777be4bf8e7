package main

import (
	"sync"
	"time"
)

// How many wrong tokens a minute are answered individually. The rest are
// answered 429, and logged only once a minute.
const (
	wrongTokensWindow = time.Minute
	wrongTokensMax    = 60
)

// wrongTokens counts wrong tokens in windows of a minute, over all clients:
// behind a published port they may all have one address. It never blocks the
// right token. Safe for concurrent use.
type wrongTokens struct {
	now func() time.Time

	mu    sync.Mutex
	began time.Time
	count int
}

// another counts a wrong token. If retryAfter is above zero the answer is 429, and
// first reports whether this is the first such answer of the window.
func (l *wrongTokens) another() (retryAfter time.Duration, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.began) >= wrongTokensWindow {
		l.began, l.count = now, 0
	}
	l.count++
	if l.count <= wrongTokensMax {
		return 0, false
	}
	return l.began.Add(wrongTokensWindow).Sub(now), l.count == wrongTokensMax+1
}
