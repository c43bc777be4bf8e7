package proc

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"cut anywhere", []string{"on", "e\ntw", "o", "\n"}, []string{"one", "two"}},
		{"no end", []string{"a"}, []string{"a"}},
		{"carriage returns", []string{"a\r\nb\rc"}, []string{"a", "b", "c"}},
		{"repeats", []string{"a\na\n\nb\na\n"}, []string{"a", "b", "a"}},
		{"blanks", []string{"  a \t b \n"}, []string{"a b"}},
		{"long", []string{strings.Repeat("x", maxLine), "yyy\nz\n"}, []string{strings.Repeat("x", maxLine), "z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			w := &Lines{Say: func(line string) { got = append(got, line) }}
			for _, text := range test.writes {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
			}
			w.Flush()
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLines_KeepsTheLast(t *testing.T) {
	w := &Lines{Say: func(string) {}}
	for i := range keptLines + 5 {
		_, _ = w.Write([]byte(strconv.Itoa(i) + "\n"))
	}
	if len(w.All()) != keptLines || w.All()[0] != "5" || w.Last() != strconv.Itoa(keptLines+4) {
		t.Errorf("kept %v", w.All())
	}
}

func TestLines_DropsWhatPassRefuses(t *testing.T) {
	var said []string
	w := &Lines{Say: func(line string) { said = append(said, line) }, Pass: func(line string) bool { return line != "canary" }}
	_, _ = w.Write([]byte("a\ncanary\nb\ncanary"))
	w.Flush()
	if !slices.Equal(said, []string{"a", "b"}) || !slices.Equal(w.All(), said) || w.Held() != 2 {
		t.Errorf("said %q, kept %q, held %d", said, w.All(), w.Held())
	}
}
