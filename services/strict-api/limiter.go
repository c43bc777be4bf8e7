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
// behind a published port they may all have one address. It is never in
// the way of the right token. Safe for concurrent use.
type wrongTokens struct {
	now func() time.Time

	mu     sync.Mutex
	began  time.Time
	count  int
	logged bool
}

// verdict says how to treat one more wrong token.
type verdict struct {
	retryAfter time.Duration // above 0: answer 429
	log        bool          // the first one too many of its window
}

// another counts a wrong token.
func (l *wrongTokens) another() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.began) >= wrongTokensWindow {
		l.began, l.count, l.logged = now, 0, false
	}
	l.count++
	if l.count <= wrongTokensMax {
		return verdict{}
	}
	v := verdict{retryAfter: l.began.Add(wrongTokensWindow).Sub(now), log: !l.logged}
	l.logged = true
	return v
}
