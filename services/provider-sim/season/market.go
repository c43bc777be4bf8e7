package season

import (
	"math"
	"time"
)

// Quote is what one book offers for one game at some time, in decimal odds.
type Quote struct {
	Book       Book
	UpdatedAt  time.Time // when the book set these prices
	Home, Away float64   // head to head
	// Spread is the points that the home team is given (negative for a
	// favourite); Total is the line of the over and under.
	Spread, SpreadHome, SpreadAway float64
	Total, TotalOver, TotalUnder   float64
}

// Book is a bookmaker.
type Book struct {
	Key   string
	Title string

	margin float64       // of the head to head prices
	offset float64       // standard deviation of the book's error, in points
	delay  time.Duration // longest time that it takes to follow the market
}

// Books returns the books, by key. Their margins and delays are invented.
func Books() []Book {
	return []Book{
		{Key: "betmgm", Title: "BetMGM", margin: 0.048, offset: 0.5, delay: 40 * time.Minute},
		{Key: "betonlineag", Title: "BetOnline.ag", margin: 0.035, offset: 0.3, delay: 10 * time.Minute},
		{Key: "bovada", Title: "Bovada", margin: 0.050, offset: 0.6, delay: 60 * time.Minute},
		{Key: "caesars", Title: "Caesars", margin: 0.046, offset: 0.5, delay: 40 * time.Minute},
		{Key: "draftkings", Title: "DraftKings", margin: 0.045, offset: 0.4, delay: 20 * time.Minute},
		{Key: "fanduel", Title: "FanDuel", margin: 0.043, offset: 0.4, delay: 20 * time.Minute},
		{Key: "lowvig", Title: "LowVig.ag", margin: 0.022, offset: 0.3, delay: 10 * time.Minute},
		{Key: "pinnacle", Title: "Pinnacle", margin: 0.025, offset: 0.2, delay: 5 * time.Minute},
	}
}

// The market's path has one step in ten minutes.
const (
	step  = 10 * time.Minute
	steps = int(Listed / step)
	// steamShare of the games have a steam move.
	steamShare = 0.25
	steamDelay = 5 * time.Minute // longest time a book takes to follow one
)

// path is what the market believes the mean margin and the total to be, at each
// step from the opening to the start.
type path struct {
	means   [steps + 1]float64
	totals  [steps + 1]float64
	steamAt int // step of a steam move; -1 without one
}

// market computes the path of a game. Backwards from the close, each step adds
// noise that pulls towards the opening's larger error.
func (s *Season) market(g Game) path {
	r := s.random(streamMarket, uint64(g.Number))
	p := path{steamAt: -1}
	closing := g.mean + marketError*r.NormFloat64()
	p.means[steps], p.totals[steps] = closing, g.total+2*r.NormFloat64()
	jump := 0.0
	if r.Float64() < steamShare {
		p.steamAt = steps/4 + r.IntN(steps/2)
		jump = (1.8 + 1.5*r.Float64()) * float64(1-2*r.IntN(2))
	}
	perStep := 1.5 * marketError / math.Sqrt(float64(steps))
	for i := steps - 1; i >= 0; i-- {
		p.means[i] = p.means[i+1] + perStep*r.NormFloat64()
		p.totals[i] = p.totals[i+1] + 0.15*r.NormFloat64()
		if i+1 == p.steamAt {
			p.means[i] -= jump
		}
	}
	return p
}

// Quotes returns what each book offers for g at the given time, by book: nothing
// before the books open and, from the start on, what they offered last.
func (s *Season) Quotes(g Game, at time.Time) []Quote {
	opening := g.Start.Add(-Listed)
	if at.Before(opening) {
		return nil
	}
	if !at.Before(g.Start) {
		at = g.Start.Add(-time.Second)
	}
	p := s.market(g)
	var quotes []Quote
	for i, book := range Books() {
		quote, ok := s.quote(g, p, book, uint64(i), at.Sub(opening))
		if ok {
			quotes = append(quotes, quote)
		}
	}
	return quotes
}

// quote replays a book's prices up to since the opening and returns the last
// that it set; false when it has not opened yet. A book looks at the market at
// some of its steps, acts after its own delay, and sets new prices only
// when they differ.
func (s *Season) quote(g Game, p path, book Book, number uint64, since time.Duration) (Quote, bool) {
	r := s.random(streamBook, uint64(g.Number)*64+number)
	offset := book.offset * r.NormFloat64()
	var last Quote
	found := false
	acted := time.Duration(-1)
	for i := range p.means {
		longest := book.delay
		looks := r.Float64() < 0.35 || i == 0
		if i == p.steamAt {
			longest, looks = min(longest, steamDelay), true
		}
		delay := time.Duration(r.Float64() * float64(longest)).Truncate(time.Second)
		if !looks {
			continue
		}
		acted = max(acted+time.Second, time.Duration(i)*step+delay)
		if acted > since {
			break
		}
		next := prices(book, p.means[i]+offset, p.totals[i])
		next.UpdatedAt = g.Start.Add(acted - Listed)
		if !found || !same(next, last) {
			last, found = next, true
		}
	}
	return last, found
}

// prices turns what a book believes the mean margin and the total to be into its
// offer.
func prices(book Book, mean, total float64) Quote {
	q := Quote{Book: book, Spread: -halfPoint(mean), Total: halfPoint(total)}
	q.Home, q.Away = withMargin(winProbability(mean), book.margin)
	q.SpreadHome, q.SpreadAway = withMargin(winProbability(mean+q.Spread), book.margin)
	q.TotalOver, q.TotalUnder = withMargin(winProbability((total-q.Total)*marginSpread/totalSpread), book.margin)
	return q
}

// withMargin turns a probability, which it takes to be from 0.03 to 0.97, into two
// decimal prices, rounded to cents, whose inverses add up to one plus the margin.
// Each side bears half of the margin, so that it weighs more on the outsider, as it
// does in practice.
func withMargin(p, margin float64) (float64, float64) {
	p = min(max(p, 0.03), 0.97)
	price := func(q float64) float64 { return math.Max(1.01, math.Round(100/(q+margin/2))/100) }
	return price(p), price(1 - p)
}

// halfPoint rounds to a half, never to a whole number: no bet ends in a tie and is
// paid back.
func halfPoint(x float64) float64 { return math.Floor(x) + 0.5 }

// same reports whether two offers are of the same prices.
func same(a, b Quote) bool {
	return a.Home == b.Home && a.Away == b.Away && a.Spread == b.Spread && a.SpreadHome == b.SpreadHome &&
		a.Total == b.Total && a.TotalOver == b.TotalOver
}
