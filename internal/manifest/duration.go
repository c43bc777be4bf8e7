package manifest

import (
	"errors"
	"math"
	"time"
)

// errDuration says what a duration looks like.
var errDuration = errors.New("not a duration such as 90d, 12h or 2w")

// parseDuration reads a duration of whole numbers with the units w, d, h, m
// and s, each at most once and the larger first: 90d, 12h, 2w, 1d12h. A day
// has 24 hours. Zero is no duration.
func parseDuration(text string) (time.Duration, error) {
	total, number, digits, last := int64(0), int64(0), 0, 5
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' {
			if number > math.MaxInt32 {
				return 0, errDuration
			}
			number, digits = number*10+int64(c-'0'), digits+1
			continue
		}
		unit, rank := unitOf(c)
		if digits == 0 || rank < 0 || rank >= last {
			return 0, errDuration
		}
		if number > (math.MaxInt64-total)/unit {
			return 0, errDuration
		}
		total, number, digits, last = total+number*unit, 0, 0, rank
	}
	if digits != 0 || total == 0 {
		return 0, errDuration
	}
	return time.Duration(total), nil
}

// unitOf returns the length of a unit and its rank, larger units first.
func unitOf(c byte) (length int64, rank int) {
	switch c {
	case 'w':
		return int64(7 * 24 * time.Hour), 4
	case 'd':
		return int64(24 * time.Hour), 3
	case 'h':
		return int64(time.Hour), 2
	case 'm':
		return int64(time.Minute), 1
	case 's':
		return int64(time.Second), 0
	}
	return 0, -1
}
