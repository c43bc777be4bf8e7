package swarm

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// row is a situation as it was seen.
type row struct {
	happened string        // the situation's own words
	said     string        // what keepmum said
	code     string        // exit code, or how it ended
	after    string        // the state that was seen
	ended    time.Duration // the command
	well     time.Duration // all that should run; 0: nothing had stopped
	led      string        // the command that was named, and what it did
}

// line is the row in the document.
func (r row) line() string {
	well := "-"
	if r.well > 0 {
		well = seconds(r.well)
	}
	cells := []string{r.happened, r.said, r.code, r.after, seconds(r.ended), well, r.led}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// seconds rounds up: half a second is 1.
func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

// codeIn is the exit code that a line of the document has.
func codeIn(line string) string {
	if cells := strings.Split(line, " | "); len(cells) == 7 {
		return cells[2]
	}
	return ""
}

func TestSituations_HaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range situations {
		name, _, _ := strings.Cut(s.name, "#")
		if seen[s.name] || seen[s.happened] || name != strings.ToLower(strings.ReplaceAll(name, " ", "_")) || cmp.Or(s.happened, "|") == "|" || strings.Contains(s.happened, "|") {
			t.Errorf("%q is not a name and %q not a description that no other situation has", s.name, s.happened)
		}
		seen[s.name], seen[s.happened] = true, true
	}
	if len(situations) == 0 {
		t.Error("there is no situation")
	}
}

func TestRow_HasSevenCellsAndRoundsUp(t *testing.T) {
	r := row{happened: "it broke", said: "a | b", code: "5", after: "as before", ended: 1200 * time.Millisecond, led: "nothing"}
	if got, want := r.line(), `| it broke | a \| b | 5 | as before | 2 | - | nothing |`+"\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if codeIn(r.line()) != "5" || codeIn("| no row |") != "" {
		t.Error("the code is not found in its line")
	}
	if got := seconds(0) + " " + seconds(time.Millisecond) + " " + seconds(61*time.Second); got != "0 1 61" {
		t.Error(got)
	}
}
