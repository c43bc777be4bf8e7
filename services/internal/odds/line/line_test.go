package line_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds"
	"github.com/keepmum/keepmum/services/internal/odds/line"
	"pgregory.net/rapid"
)

// begin is when the game of every test begins; at counts minutes before it.
func begin() time.Time { return time.Date(2026, 1, 10, 0, 30, 0, 0, time.UTC) }

func at(minutesBefore int) time.Time { return begin().Add(-time.Duration(minutesBefore) * time.Minute) }

// quote makes one without a margin, so that the fair probability is p.
func quote(book string, minutesBefore int, p float64) line.Quote {
	return line.Quote{Book: book, At: at(minutesBefore), Home: 1 / p, Away: 1 / (1 - p)}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func find(t *testing.T, m line.Movement, book string) line.Line {
	t.Helper()
	i := slices.IndexFunc(m.Lines, func(l line.Line) bool { return l.Book == book })
	if i < 0 {
		t.Fatalf("no line of %s in %+v", book, m.Lines)
	}
	return m.Lines[i]
}

func TestOpeningCurrentAndClosing(t *testing.T) {
	t.Parallel()
	quotes := []line.Quote{
		quote("alpha", 60, 0.62), // not in order on purpose
		quote("alpha", 300, 0.50),
		quote("alpha", 120, 0.55),
		quote("beta", 200, 0.52),
		quote("alpha", 0, 0.90),  // live
		quote("alpha", -5, 0.99), // live
	}
	before := line.Follow(quotes, begin(), at(90))
	alpha := find(t, before, "alpha")
	near(t, "opening", alpha.Opening.Home, 0.50)
	near(t, "current, ninety minutes before", alpha.Current.Home, 0.55)
	if alpha.Closing != nil {
		t.Error("there is a closing line before the game has begun")
	}
	after := line.Follow(quotes, begin(), at(-30))
	alpha = find(t, after, "alpha")
	if alpha.Closing == nil || !alpha.Closing.At.Equal(at(60)) {
		t.Fatalf("closing %+v, want that of an hour before", alpha.Closing)
	}
	near(t, "closing", alpha.Closing.Home, 0.62)
	if beta := find(t, after, "beta"); beta.Opening != beta.Current || len(beta.Moves) != 0 {
		t.Errorf("a book that quoted once: %+v", beta)
	}
	if after.Lines[0].Book != line.Consensus {
		t.Errorf("first line is that of %s", after.Lines[0].Book)
	}
	near(t, "consensus at the opening", after.Lines[0].Opening.Home, 0.50)
	near(t, "consensus at the close", after.Lines[0].Closing.Home, odds.Sigmoid((odds.Logit(0.62)+odds.Logit(0.52))/2))
}

func TestUnusableQuotesAreCountedAndLeftOut(t *testing.T) {
	t.Parallel()
	bad := []line.Quote{
		{Book: "alpha", At: at(50), Home: 0, Away: 2},
		{Book: "alpha", At: at(40), Home: math.NaN(), Away: 2},
		{Book: "alpha", At: at(30), Home: 1, Away: 1},
	}
	if m := line.Follow(bad, begin(), at(1)); m.Skipped != 3 || len(m.Lines) != 0 || len(m.Steam) != 0 {
		t.Errorf("%+v, want only three skipped quotes", m)
	}
	m := line.Follow(append(bad, quote("alpha", 20, 0.5)), begin(), at(1))
	if l := find(t, m, "alpha"); m.Skipped != 3 || !l.Opening.At.Equal(at(20)) {
		t.Errorf("skipped %d, opening %v", m.Skipped, l.Opening.At)
	}
}

// moved is a market of n books that all open at one half an hour before the
// game, of which some move to p at the minutes given.
func moved(n int, p float64, minutes ...int) []line.Quote {
	var quotes []line.Quote
	for i := range n {
		quotes = append(quotes, quote(fmt.Sprint("book", i), 60, 0.5))
	}
	for i, m := range minutes {
		quotes = append(quotes, quote(fmt.Sprint("book", i), m, p))
	}
	return quotes
}

func TestSteam(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		quotes []line.Quote
		want   []string // direction, began and ended in minutes before the game, number of books
	}{
		{"three of five within four minutes", moved(5, 0.55, 30, 28, 26), []string{"home 26-26 3"}},
		{"three of five, the other way", moved(5, 0.45, 30, 28, 26), []string{"away 26-26 3"}},
		{"four of five: one move, four books", moved(5, 0.55, 30, 28, 26, 24), []string{"home 26-24 4"}},
		{"only two books", moved(5, 0.55, 30, 28), nil},
		{"three of six are not more than half", moved(6, 0.55, 30, 28, 26), nil},
		{
			"books that open later do not count among those that quote",
			append(moved(3, 0.55, 30, 28, 26), quote("late0", 10, 0.55), quote("late1", 10, 0.55), quote("late2", 10, 0.55)),
			[]string{"home 26-26 3"},
		},
		{"too small a move", moved(5, 0.51, 30, 28, 26), nil},
		{"too slow: eleven minutes apart", moved(5, 0.55, 40, 29, 18), nil},
		{"the window's edge is outside: ten minutes", moved(3, 0.55, 30, 25, 20), nil},
		{"just inside of the window: nine minutes", moved(3, 0.55, 30, 25, 21), []string{"home 21-21 3"}},
		{"one book goes against it", append(moved(5, 0.55, 30, 28, 26), quote("book4", 29, 0.45)), nil},
		{
			"there and back is two moves",
			append(moved(3, 0.55, 50, 50, 50), quote("book0", 20, 0.5), quote("book1", 20, 0.5), quote("book2", 20, 0.5)),
			[]string{"home 50-50 3", "away 20-20 3"},
		},
		{
			"twice the same way with a calm between is two moves",
			append(moved(3, 0.55, 50, 50, 50), quote("book0", 35, 0.55), quote("book0", 20, 0.6), quote("book1", 20, 0.6), quote("book2", 20, 0.6)),
			[]string{"home 50-50 3", "home 20-20 3"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range line.Follow(c.quotes, begin(), at(1)).Steam {
				got = append(got, fmt.Sprintf("%s %v-%v %d", s.Direction, begin().Sub(s.Since).Minutes()-10, begin().Sub(s.Ended).Minutes(), len(s.Books)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		path []float64 // prices of one book, a minute apart, the last one a minute before the game
		want []string
	}{
		{"one quote", []float64{0.5}, nil},
		{"too small", []float64{0.5, 0.51, 0.5, 0.51}, nil},
		{"one step", []float64{0.5, 0.55}, []string{"home 0.50-0.55"}},
		{"small steps add up", []float64{0.5, 0.51, 0.52, 0.53}, []string{"home 0.50-0.52"}},
		{"on and on", []float64{0.5, 0.55, 0.6}, []string{"home 0.50-0.55", "home 0.55-0.60"}},
		{"there and back", []float64{0.5, 0.55, 0.5}, []string{"home 0.50-0.55", "away 0.55-0.50 reversal"}},
		{"back and there and on", []float64{0.5, 0.45, 0.5, 0.55}, []string{"away 0.50-0.45", "home 0.45-0.50 reversal", "home 0.50-0.55"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var quotes []line.Quote
			for i, p := range c.path {
				quotes = append(quotes, quote("alpha", len(c.path)-i, p))
			}
			var got []string
			for _, m := range find(t, line.Follow(quotes, begin(), at(0)), "alpha").Moves {
				text := fmt.Sprintf("%s %.2f-%.2f", m.Direction, m.From.Home, m.To.Home)
				if m.Reversal {
					text += " reversal"
				}
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSteamHasBothEnds(t *testing.T) {
	t.Parallel()
	m := line.Follow(moved(3, 0.55, 30, 28, 26), begin(), at(1))
	if len(m.Steam) != 1 {
		t.Fatalf("%d moves, want 1", len(m.Steam))
	}
	near(t, "from", m.Steam[0].From, 0.5)
	near(t, "to", m.Steam[0].To, 0.55)
	if want := []string{"book0", "book1", "book2"}; !slices.Equal(m.Steam[0].Books, want) {
		t.Errorf("books %v, want %v", m.Steam[0].Books, want)
	}
}

// market draws the quotes of some books that move now and then.
func market(t *rapid.T) []line.Quote {
	var quotes []line.Quote
	for b := range rapid.IntRange(1, 5).Draw(t, "books") {
		n := rapid.IntRange(0, 12).Draw(t, "quotes")
		for range n {
			minutes := rapid.IntRange(-10, 120).Draw(t, "minutes")
			quotes = append(quotes, quote(fmt.Sprint("book", b), minutes, rapid.Float64Range(0.3, 0.7).Draw(t, "p")))
		}
	}
	return quotes
}

func TestFollowIgnoresOrderAndRepeats(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quotes := market(t)
		now := at(rapid.IntRange(-20, 120).Draw(t, "now"))
		want := line.Follow(quotes, begin(), now)
		shuffled := append(slices.Clone(quotes), quotes...) // each twice
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := line.Follow(shuffled, begin(), now); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	})
}

// Later quotes change no opening line, no earlier move, and no steam move's
// beginning or direction.
func TestFollowIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quotes := market(t)
		early := rapid.IntRange(0, 120).Draw(t, "early")
		first := line.Follow(quotes, begin(), at(early))
		second := line.Follow(quotes, begin(), at(early-rapid.IntRange(0, 140).Draw(t, "later")))
		for _, l := range first.Lines {
			i := slices.IndexFunc(second.Lines, func(m line.Line) bool { return m.Book == l.Book })
			if i < 0 || second.Lines[i].Opening != l.Opening {
				t.Fatalf("opening of %s changed", l.Book)
			}
			if later := second.Lines[i].Moves; len(later) < len(l.Moves) || !slices.Equal(later[:len(l.Moves)], l.Moves) {
				t.Fatalf("moves of %s were %+v and became %+v", l.Book, l.Moves, later)
			}
		}
		if len(second.Steam) < len(first.Steam) {
			t.Fatalf("%d moves, later %d", len(first.Steam), len(second.Steam))
		}
		for i, s := range first.Steam {
			if later := second.Steam[i]; !later.Since.Equal(s.Since) || later.Direction != s.Direction || later.From != s.From {
				t.Fatalf("move %+v became %+v", s, later)
			}
		}
	})
}

// Swapping the sides swaps every answer.
func TestFollowIsSymmetric(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quotes := market(t)
		var turned []line.Quote
		seen := map[string]bool{}
		quotes = slices.DeleteFunc(quotes, func(q line.Quote) bool { // two quotes at one time have no mirror image
			key := q.Book + q.At.String()
			defer func() { seen[key] = true }()
			return seen[key]
		})
		for _, q := range quotes {
			turned = append(turned, line.Quote{Book: q.Book, At: q.At, Home: q.Away, Away: q.Home})
		}
		here, there := line.Follow(quotes, begin(), at(-1)), line.Follow(turned, begin(), at(-1))
		for i, l := range here.Lines {
			if math.Abs(l.Current.Home+there.Lines[i].Current.Home-1) > 1e-9 {
				t.Fatalf("%s: home %v, and %v turned", l.Book, l.Current.Home, there.Lines[i].Current.Home)
			}
		}
		if len(here.Steam) != len(there.Steam) {
			t.Fatalf("%d moves, %d turned", len(here.Steam), len(there.Steam))
		}
		for i, s := range here.Steam {
			if s.Direction == there.Steam[i].Direction {
				t.Fatalf("move %d goes towards %s both ways", i, s.Direction)
			}
		}
	})
}

func ExampleFollow() {
	begin := time.Date(2026, 1, 10, 0, 30, 0, 0, time.UTC)
	var quotes []line.Quote
	for _, book := range []string{"alpha", "beta", "gamma"} {
		quotes = append(quotes,
			line.Quote{Book: book, At: begin.Add(-time.Hour), Home: 1.91, Away: 1.91},
			line.Quote{Book: book, At: begin.Add(-30 * time.Minute), Home: 1.71, Away: 2.16})
	}
	m := line.Follow(quotes, begin, begin)
	fmt.Printf("%s: %.3f to %.3f, closed at %.3f\n", m.Lines[0].Book, m.Lines[0].Opening.Home, m.Lines[0].Current.Home, m.Lines[0].Closing.Home)
	fmt.Printf("steam towards %s by %v\n", m.Steam[0].Direction, m.Steam[0].Books)
	// Output:
	// consensus: 0.500 to 0.561, closed at 0.561
	// steam towards home by [alpha beta gamma]
}
