//go:build swarm && linux

package swarm

import (
	"flag"
	"os"
	"strings"
	"sync"
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
