package redact

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// quoters are shells that quote what they read from standard input.
func quoters() map[string][]string {
	read := `IFS= read -r -d '' v; `
	return map[string][]string{
		"bash printf %q":               {"bash", "-c", read + `printf '%q\n' "$v"`},
		"bash ${v@Q}":                  {"bash", "-c", read + `echo "${v@Q}"`},
		"bash -x":                      {"bash", "-c", read + `exec 2>&1; set -x; : "$v"`},
		"bash -x of a command":         {"bash", "-c", read + `exec 2>&1; set -x; : --header "X-Key: $v"`},
		"bash declare -p":              {"bash", "-c", read + `declare -p v`},
		"sh -x":                        {"sh", "-c", `v=$(cat; echo .); v=${v%.}; exec 2>&1; set -x; : "$v"`},
		"sh export -p":                 {"sh", "-c", `v=$(cat; echo .); v=${v%.}; export v; export -p | sed -n '/^export v=/,$p'`},
		"coreutils base64":             {"base64"},
		"coreutils base64 -w 0":        {"base64", "-w", "0"},
		"coreutils base64 -w 64":       {"base64", "-w", "64"},
		"od -An -tx1 -v -w1024 spaced": {"od", "-An", "-tx1", "-v", "-w1024"},
	}
}

// TestShellsAndCoreutils lets the real programs quote and encode. They get the
// values on standard input. Some of them split a value with a line break into
// lines; its lines are searched for too.
func TestShellsAndCoreutils(t *testing.T) {
	t.Parallel()
	for name, argv := range quoters() {
		for _, locale := range []string{"C", "C.UTF-8"} {
			t.Run(fmt.Sprint(name, " in ", locale), func(t *testing.T) {
				t.Parallel()
				run := func(in string) string {
					c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
					c.Env = append(c.Environ(), "LC_ALL="+locale, "v=")
					c.Stdin = strings.NewReader(in)
					out, err := c.Output()
					if len(out) == 0 {
						t.Fatalf("%s wrote nothing: %v", argv[0], err)
					}
					return string(out)
				}
				for what, value := range trickyValues() {
					value = strings.TrimSuffix(value, "\n")
					m := New(known("S", value))
					for context, c := range map[string][2]string{"alone": {"", ""}, "inside": {"before ", " after"}} {
						e := encoder{loose: 4} // the value may need $'', the context alone none
						if err := hidden(m, run(c[0]+value+c[1]), run(c[0]+c[1]+"x"), e); err != nil {
							t.Errorf("%s, %s: %v", what, context, err)
						}
					}
				}
			})
		}
	}
}
