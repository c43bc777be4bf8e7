package swarm

import (
	"cmp"
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const document = "../../docs/FAILURES.md"

var update = flag.Bool("update", false, "write the rows of the situations that are run to docs/FAILURES.md")

// documentHead is what precedes the table.
const documentHead = `# What happens when something goes wrong

Each row is a test that runs the compiled keepmum against a real Swarm of three managers, looks at the Swarm afterwards, and
runs the command that keepmum named. The words are those of one run, and so are the times, in seconds on a machine of two
cores that did other things as well: they say how long one waits, not how fast anything is. NAME is the stack's name.

"Ended" is when the command returned. "Well" is when everything that should run was seen to run again, from the begin of
the same command on, with what the last column did; a dash where nothing had stopped.

Written by (as root, see [integration/swarm](../integration/swarm/doc.go)):

    go test -tags swarm ./integration/swarm -update

| what happened | what keepmum said | exit code | state after | ended | well | what led on |
|---|---|---|---|---|---|---|
`

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

// readRows returns the lines of the document's table by what happened.
func readRows() (map[string]string, error) {
	data, err := os.ReadFile(document)
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for _, line := range strings.Split(string(data), "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 7 && cells[0] != "| what happened" {
			rows[strings.TrimPrefix(cells[0], "| ")] = line + "\n"
		}
	}
	return rows, nil
}

// documented is where situations report their rows. Several run at a time.
var documented sync.Mutex

// writeRow puts a row into the document.
func writeRow(r row) error {
	documented.Lock()
	defer documented.Unlock()
	rows, err := readRows()
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if rows == nil {
		rows = map[string]string{}
	}
	rows[r.happened] = r.line()
	text := documentHead
	for _, s := range situations {
		text += rows[s.happened]
	}
	return os.WriteFile(document, []byte(text), 0o644)
}

// codeIn is the exit code that a line of the document has.
func codeIn(line string) string {
	if cells := strings.Split(line, " | "); len(cells) == 7 {
		return cells[2]
	}
	return ""
}

func TestDocument_HasARowForEachSituationAndNoOther(t *testing.T) {
	rows, err := readRows()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range situations {
		known = append(known, s.happened)
		if _, ok := rows[s.happened]; !ok {
			t.Errorf("docs/FAILURES.md has no row for %q: run its test with -update", s.happened)
		}
	}
	for happened := range rows {
		if !slices.Contains(known, happened) {
			t.Errorf("docs/FAILURES.md has a row for %q, which no test makes", happened)
		}
	}
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
