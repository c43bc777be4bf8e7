package line

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds"
)

// history is a price over time: sorted, each time once, never empty.
type history []Point

// at returns the price that stood at t: the last one not after it, or the
// opening one if t is earlier than that.
func (h history) at(t time.Time) Point {
	after := sort.Search(len(h), func(i int) bool { return h[i].At.After(t) })
	return h[max(0, after-1)]
}

// histories are those of the books, by name.
type histories map[string]history

// sortedByBook sorts the usable quotes by book and time. Of two quotes of one
// book at one time the one with the higher home price counts, whatever order
// they came in.
func sortedByBook(quotes []Quote, begin, now time.Time) (h histories, skipped int) {
	h = histories{}
	for _, q := range quotes {
		if q.At.After(now) || !q.At.Before(begin) {
			continue
		}
		p, ok := odds.Fair(q.Home, q.Away)
		if !ok {
			skipped++
			continue
		}
		h[q.Book] = append(h[q.Book], Point{At: q.At, Home: p})
	}
	for book, points := range h {
		slices.SortFunc(points, func(a, b Point) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Home, b.Home))
		})
		h[book] = slices.CompactFunc(points, func(a, b Point) bool { return a.At.Equal(b.At) })
	}
	return h, skipped
}

// moments are the times at which any book quoted, sorted.
func (h histories) moments() []time.Time {
	var all []time.Time
	for _, points := range h {
		for _, p := range points {
			all = append(all, p.At)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// consensus is that of the books that have quoted by t, at their last price. At
// least one must have.
func (h histories) consensus(t time.Time) float64 {
	var fair []float64
	for _, points := range h {
		if p := points.at(t); !p.At.After(t) {
			fair = append(fair, p.Home)
		}
	}
	return odds.Consensus(fair)
}
