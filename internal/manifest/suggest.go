package manifest

import "strings"

// maxCandidates is how many candidates are compared. With more there is no
// suggestion, because the work would grow with the square of the file.
const maxCandidates = 500

// nearest returns the candidate that name was probably meant to be: the same
// without case and separators, or at most two letters away (one in short
// names). It returns "" if nothing is near.
func nearest(name string, candidates []string) string {
	if len(candidates) > maxCandidates {
		return ""
	}
	best, distance, bare := "", 3, plain(name)
	for _, candidate := range candidates {
		if bare == plain(candidate) {
			return candidate
		}
		limit := 2
		if len(name) < 5 {
			limit = 1
		}
		if d := edits(strings.ToLower(name), strings.ToLower(candidate)); d <= limit && d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// plain removes case and separators.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c == ' ' {
			return -1
		}
		return c
	}, strings.ToLower(name))
}

// edits is the number of letters to insert, remove, change or swap with their
// neighbour to turn a into b (optimal string alignment).
func edits(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// didYouMean is the edit that a finding suggests for an unknown name.
func didYouMean(name string, candidates []string, otherwise string) string {
	if near := nearest(name, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	return otherwise
}
