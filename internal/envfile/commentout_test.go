package envfile

import (
	"strings"
	"testing"
)

func TestCommentOut(t *testing.T) {
	for _, c := range []struct{ name, file, keys, want, done string }{
		{"one key", "A=1\nB=2\n", "A", "#A=1\nB=2\n", "A"},
		{"no newline at the end", "A=1\nB=2", "B", "A=1\n#B=2", "B"},
		{"order is that of the file", "A=1\nB=2\n", "B A", "#A=1\n#B=2\n", "A B"},
		{"unknown key", "A=1\n", "C", "A=1\n", ""},
		{"no keys", "A=1\n", "", "A=1\n", ""},
		{"nothing", "", "A", "", ""},
		{"only whole names", "AB=1\nA=2\n_A=3\n", "A", "AB=1\n#A=2\n_A=3\n", "A"},
		{"leading blanks and comment stay", "  export A=1 # it's\t\n", "A", "#  export A=1 # it's\t\n", "A"},
		{"every line of a value", "A='l1\nl2\n\nl4' # c\nB=2\n", "A", "#A='l1\n#l2\n#\n#l4' # c\nB=2\n", "A"},
		{"name within another value", "A='x\nB=1\ny'\nB=2\n", "B", "A='x\nB=1\ny'\n#B=2\n", "B"},
		{"CRLF", "A=\"l1\r\nl2\"\r\nB=2\r\n", "A", "#A=\"l1\r\n#l2\"\r\nB=2\r\n", "A"},
		{"byte order mark", "\ufeffA=1\r\nB=2\r\n", "A", "\ufeff#A=1\r\nB=2\r\n", "A"},
		{"both of a duplicate", "A=1\nB=2\nA=3\n", "A", "#A=1\nB=2\n#A=3\n", "A"},
		{"YAML", "A: 1\nB: 2\n", "A", "#A: 1\nB: 2\n", "A"},
		{"export alone stays", "A=1\nexport A\n", "A", "#A=1\nexport A\n", "A"},
		{"refused value", "A=\"x$Y\"\n", "A", "#A=\"x$Y\"\n", "A"},
		{"first of a line", "A='1' B='2' # c\n", "A", "#A='1' \nB='2' # c\n", "A"},
		{"last of a line", "A='1' B='2' # c\n", "B", "A='1' \n#B='2' # c\n", "B"},
		{"both of a line", "A='1' B='2' # c\n", "A B", "#A='1' B='2' # c\n", "A B"},
		{"middle of a line, CRLF", "A='1' B='2' C='3'\r\n", "B", "A='1' \r\n#B='2' \r\nC='3'\r\n", "B"},
		{"lines shared across lines", "A='1\n2' B='3\n4'\n", "A", "#A='1\n#2' \nB='3\n4'\n", "A"},
		{"open quote", "A='1\nB=2\n", "A B", "A='1\n#B=2\n", "B"},
		{"open quote the second time", "A=1\nA='x\nB=2\n", "A B", "A=1\nA='x\n#B=2\n", "B"},
		{"UTF-16", "\xff\xfeA\x00", "A", "\xff\xfeA\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, done := CommentOut([]byte(c.file), strings.Fields(c.keys))
			if string(out) != c.want || strings.Join(done, " ") != c.done {
				t.Errorf("got  %q, %v\nwant %q, [%s]", out, done, c.want, c.done)
			}
			again, more := CommentOut(out, strings.Fields(c.keys))
			if string(again) != string(out) || len(more) > 0 {
				t.Errorf("a second time: %q, %v", again, more)
			}
		})
	}
}

// TestCommentOutKeepsTheRest: the remaining keys have the same values as before,
// whichever key is commented out.
func TestCommentOutKeepsTheRest(t *testing.T) {
	file := "\ufeff# keys\r\nA=1 # one\r\nexport B='l1\r\nl2'\r\nC=\"x y\" D='z'\r\n\r\n  E = e\r\nF: f"
	all, problems := Parse([]byte(file), Options{})
	if len(all) != 6 || len(problems) > 0 {
		t.Fatalf("%d entries, %d problems", len(all), len(problems))
	}
	for _, e := range all {
		out, done := CommentOut([]byte(file), []string{e.Key})
		left, problems := Parse(out, Options{})
		if len(done) != 1 || len(left) != len(all)-1 || len(problems) > 0 {
			t.Fatalf("%s: %v, %d left, %d problems", e.Key, done, len(left), len(problems))
		}
		for _, l := range left {
			for _, before := range all {
				if l.Key == before.Key && !l.Value.Equal(before.Value) {
					t.Errorf("%s changed when %s was commented out", l.Key, e.Key)
				}
			}
		}
	}
}
