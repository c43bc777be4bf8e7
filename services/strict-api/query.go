package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
)

// The limits of a query.
const (
	defaultLimit = 50
	maxLimit     = 200
	maxQuery     = 2048 // bytes of the raw query
	maxName      = 64   // bytes of a book or event
)

// filter is a valid query. Empty fields do not filter.
type filter struct {
	event, team, book, market, status, kind string
	from, to                                time.Time // of the start: from inclusive, to exclusive
	limit                                   int
	after                                   position
}

// position is where a page ends: the next one begins after it. It is opaque to
// clients, and built from the sort key of the last row.
type position struct {
	path string // the page's: a position of one path means nothing to another
	at   time.Time
	id   string
}

// queryReader collects the problems of a query.
type queryReader struct {
	values   url.Values
	problems []invalidElement
}

// readQuery reads a raw query of which the names in allowed may appear, each
// at most once and not empty. All problems are returned at once; none repeats
// a value.
func readQuery(path, raw string, allowed []string) (filter, []invalidElement) {
	q := &queryReader{}
	if len(raw) > maxQuery {
		q.refuse("", fmt.Sprintf("the query is longer than %d bytes", maxQuery))
		return filter{}, q.problems
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		q.refuse("", "the query is not well-formed: separate parameters with & and percent-encode their values")
		return filter{}, q.problems
	}
	q.values = values
	q.checkNames(allowed)
	f := filter{
		event:  q.name("event", idPattern(), "an event_id, as every path shows it"),
		team:   q.team(),
		book:   q.name("book", idPattern(), "the key of a book, as /odds shows it"),
		market: q.oneOf("market", store.HeadToHead, store.Spreads, store.Totals),
		status: q.oneOf("status", store.Scheduled, store.Live, store.Finished, store.Postponed, store.Cancelled),
		kind:   q.oneOf("kind", store.Move, store.Steam, store.Reversal),
		from:   q.time("from"),
		to:     q.time("to"),
		limit:  q.limit(),
		after:  q.after(path),
	}
	if !f.from.IsZero() && !f.to.IsZero() && !f.from.Before(f.to) {
		q.refuse("to", "must be later than from")
	}
	slices.SortFunc(q.problems, func(a, b invalidElement) int {
		return strings.Compare(a.Parameter+"\x00"+a.Problem, b.Parameter+"\x00"+b.Problem)
	})
	return f, q.problems
}

func (q *queryReader) refuse(parameter, what string) {
	q.problems = append(q.problems, invalidElement{Parameter: parameter, Problem: what})
}

// checkNames refuses unknown, repeated and empty parameters.
func (q *queryReader) checkNames(allowed []string) {
	for name, values := range q.values {
		switch {
		case !slices.Contains(allowed, name):
			q.refuse(showable(name), "is not a parameter of this path; it takes "+strings.Join(allowed, ", "))
			q.values.Del(name)
		case len(values) > 1:
			q.refuse(name, "is given more than once")
			q.values.Del(name)
		case values[0] == "":
			q.refuse(name, "is empty; leave it out instead")
			q.values.Del(name)
		}
	}
}

// showable returns a parameter's name if it can be repeated in an answer. A
// client may have sent anything in its place, even a token.
func showable(name string) string {
	if regexp.MustCompile(`^[a-z][a-z_]{0,19}$`).MatchString(name) {
		return name
	}
	return "(name not shown)"
}

func idPattern() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]*$`) }

func (q *queryReader) name(parameter string, pattern *regexp.Regexp, want string) string {
	v := q.values.Get(parameter)
	if v != "" && (len(v) > maxName || !pattern.MatchString(v)) {
		q.refuse(parameter, "must be "+want)
		return ""
	}
	return v
}

// team accepts the names that the store knows and returns the store's own.
func (q *queryReader) team() string {
	v := q.values.Get("team")
	name, ok := store.CanonicalTeam(v)
	if v != "" && !ok {
		q.refuse("team", "must be the full name of a team of the NBA, such as Boston Celtics")
	}
	return name
}

func (q *queryReader) oneOf(parameter string, choices ...string) string {
	v := q.values.Get(parameter)
	if v != "" && !slices.Contains(choices, v) {
		q.refuse(parameter, "must be one of "+strings.Join(choices, ", "))
		return ""
	}
	return v
}

// time reads a day (its beginning in UTC) or a moment, in the years 2000 to
// 2099.
func (q *queryReader) time(parameter string) time.Time {
	v := q.values.Get(parameter)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 2000 && t.Year() < 2100 {
			return t.UTC()
		}
	}
	q.refuse(parameter, "must be a day such as 2026-01-31 or a moment such as 2026-01-31T19:30:00Z, from 2000 to 2099")
	return time.Time{}
}

func (q *queryReader) limit() int {
	v := q.values.Get("limit")
	if v == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != v {
		q.refuse("limit", fmt.Sprintf("must be a whole number from 1 to %d", maxLimit))
		return defaultLimit
	}
	return n
}

func (q *queryReader) after(path string) position {
	v := q.values.Get("after")
	if v == "" {
		return position{}
	}
	p, ok := parsePosition(v)
	if !ok || p.path != path {
		q.refuse("after", "must be the value of next in the page before, of the same path")
	}
	return p
}

// String is the position as clients see it.
func (p position) String() string {
	text := p.path + " " + p.at.UTC().Format(time.RFC3339Nano) + " " + p.id
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// parsePosition accepts only results of String.
func parsePosition(s string) (position, bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(data) > 256 {
		return position{}, false
	}
	parts := strings.Split(string(data), " ")
	if len(parts) != 3 || !idPattern().MatchString(parts[2]) {
		return position{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, parts[1])
	if err != nil || at.Year() < 2000 || at.Year() >= 2100 {
		return position{}, false
	}
	p := position{path: parts[0], at: at, id: parts[2]}
	return p, p.String() == s
}
