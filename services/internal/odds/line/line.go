// Package line follows the price of one game over time, book by book and in
// consensus: where it opened, where it is, where it closed, which way it
// went, and when several books moved together.
//
// [Follow] is the whole of it: quotes in, [Movement] out. It is pure and does
// not depend on the order of the quotes, so doing it again gives the same
// answer, and more quotes later change no line's opening and no steam move's
// beginning.
//
// Words. The *opening* line is a book's first quote, the *current* one its
// last that is not in the future, the *closing* one its last before the game
// begins, known once the game has begun. Quotes from the beginning of the game
// on (live prices) are left out. All probabilities are fair, that is without
// the margin, and those of the home side.
//
// A *move* of a line is a shift of its log-odds by 0.08 or more since its opening
// or since the end of the previous move, however long that took; a *reversal* is a
// move in the opposite direction of the previous one.
//
// A *steam move* is several books moving the same way in a short time, as
// happens when informed money is bet everywhere at once. Exactly: at a moment
// t at which some book quotes, let each book's shift be the log-odds of its
// price at t minus those of its price ten minutes earlier (or of its opening,
// if it is younger). There is steam towards home at t if at least three books,
// and more than half of all that quote, shifted by +0.08 or more, and none by
// -0.08 or less; towards away with the signs reversed. Consecutive moments of steam
// the same way are one move.
package line

import (
	"maps"
	"slices"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds"
)

// Quote is what one book asked at one time, in decimal odds.
type Quote struct {
	Book       string
	At         time.Time
	Home, Away float64
}

// Point is a price at a time.
type Point struct {
	At   time.Time
	Home float64 // fair probability of the home side
}

// Direction is the side that a price moved towards.
type Direction string

// The directions.
const (
	TowardsHome Direction = "home"
	TowardsAway Direction = "away"
	Steady      Direction = "steady" // moved by less than enough
)

// Consensus is the name of the line of all books together.
const Consensus = "consensus"

// Line is the path of one book's price, or of the consensus.
type Line struct {
	Book    string
	Opening Point
	Current Point
	Closing *Point // nil until the game has begun
	Moves   []Move // in the order of time
}

// Move is a line going from one price to another.
type Move struct {
	From, To  Point
	Direction Direction // TowardsHome or TowardsAway
	Reversal  bool      // the move before it went the other way
}

// Steam is several books moving the same way within a window.
type Steam struct {
	Direction Direction // TowardsHome or TowardsAway
	Since     time.Time // ten minutes before the first moment of steam: what the shifts are measured from
	Ended     time.Time // last moment of steam
	Books     []string  // those that moved, sorted
	From, To  float64   // consensus at Since (or at its opening, if that is later), and at Ended
}

// Movement is everything that [Follow] finds out about a game.
type Movement struct {
	Lines   []Line // sorted by book, the consensus first; empty when there is no usable quote
	Steam   []Steam
	Skipped int // quotes with an impossible price, see [odds.Fair]
}

// The constants of a move, see the package comment.
const (
	window = 10 * time.Minute // of a steam move
	enough = 0.08             // shift in log-odds: two percentage points at even odds
	books  = 3                // that must move together
)

// direction names the shift in log-odds from one price to another.
func direction(from, to Point) Direction {
	switch shift := odds.Logit(to.Home) - odds.Logit(from.Home); {
	case shift >= enough:
		return TowardsHome
	case shift <= -enough:
		return TowardsAway
	default:
		return Steady
	}
}

// Follow finds the lines and steam moves of one game that begins at begin, as
// they are known at now. Quotes after now, and those that are not before
// begin, are ignored.
func Follow(quotes []Quote, begin, now time.Time) Movement {
	h, skipped := sortedByBook(quotes, begin, now)
	m := Movement{Skipped: skipped}
	moments := h.moments()
	if len(moments) == 0 {
		return m
	}
	consensus := make(history, len(moments))
	for i, t := range moments {
		consensus[i] = Point{At: t, Home: h.consensus(t)}
	}
	begun := !now.Before(begin)
	m.Lines = append(m.Lines, line(Consensus, consensus, begun))
	for _, book := range slices.Sorted(maps.Keys(h)) {
		m.Lines = append(m.Lines, line(book, h[book], begun))
	}
	m.Steam = steam(h, consensus)
	return m
}

func line(book string, h history, begun bool) Line {
	l := Line{Book: book, Opening: h[0], Current: h[len(h)-1], Moves: moves(h)}
	if begun {
		closing := l.Current
		l.Closing = &closing
	}
	return l
}

// moves cuts a history where it has moved enough.
func moves(h history) []Move {
	var moves []Move
	from := h[0]
	for _, p := range h[1:] {
		way := direction(from, p)
		if way == Steady {
			continue
		}
		n := len(moves)
		moves = append(moves, Move{From: from, To: p, Direction: way, Reversal: n > 0 && moves[n-1].Direction != way})
		from = p
	}
	return moves
}

// steam walks along the moments of the consensus, which are those at which any
// book quoted.
func steam(h histories, consensus history) []Steam {
	var moves []Steam
	last := Steady
	for _, now := range consensus {
		before := now.At.Add(-window)
		way, moved := together(h, before, now.At)
		switch {
		case way == Steady:
		case way != last:
			moves = append(moves, Steam{Direction: way, Since: before, Ended: now.At, Books: moved, From: consensus.at(before).Home, To: now.Home})
		default:
			move := &moves[len(moves)-1]
			move.Ended, move.To = now.At, now.Home
			move.Books = slices.Compact(slices.Sorted(slices.Values(append(move.Books, moved...))))
		}
		last = way
	}
	return moves
}

// together returns which way the books moved between two times, and which books
// those were. It is Steady if they did not move together.
func together(h histories, before, now time.Time) (Direction, []string) {
	moved, quoting := map[Direction][]string{}, 0
	for _, book := range slices.Sorted(maps.Keys(h)) {
		to := h[book].at(now)
		if to.At.After(now) {
			continue
		}
		way := direction(h[book].at(before), to)
		moved[way] = append(moved[way], book)
		quoting++
	}
	for way, against := range map[Direction]Direction{TowardsHome: TowardsAway, TowardsAway: TowardsHome} {
		n := len(moved[way])
		if n >= books && 2*n > quoting && len(moved[against]) == 0 {
			return way, moved[way]
		}
	}
	return Steady, nil
}
