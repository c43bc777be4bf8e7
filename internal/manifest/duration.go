package manifest

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

// errDuration says what a duration looks like.
var errDuration = errors.New("not a duration such as 90d, 12h or 2w")

// parseDuration reads a duration of whole numbers with the units w, d, h, m
// and s, each at most once and the larger first: 90d, 12h, 2w, 1d12h. A day
// has 24 hours. Zero is not a duration.
func parseDuration(text string) (time.Duration, error) {
	numbers := regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$`).FindStringSubmatch(text)
	if numbers == nil {
		return 0, errDuration
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if numbers[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(numbers[i+1], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/unit) {
			return 0, errDuration
		}
		total += time.Duration(n) * unit
	}
	if total == 0 {
		return 0, errDuration
	}
	return total, nil
}
