package envfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"plain", "b", `A='b'`},
		{"empty", "", `A=''`},
		{"dollar", "pa$SWORD1!", `A='pa$SWORD1!'`},
		{"blanks", "  b\t", "A='  b\t'"},
		{"comment sign", "b # c", `A='b # c'`},
		{"double quote", `say "hi"`, `A='say "hi"'`},
		{"backslash", `C:\temp`, `A='C:\temp'`},
		{"lines", "l1\nl2\n", "A='l1\nl2\n'"},
		{"number", "007", `A='007'`},
		{"no-break space", "\u00a0b", "A='\u00a0b'"},
		{"apostrophe", "it's", `A="it's"`},
		{"apostrophe and dollar", "it's $X", `A="it's \$X"`},
		{"apostrophe and backslash", `it's C:\new`, `A="it's C:\\new"`},
		{"CRLF", "l1\r\nl2", "A=\"l1\\r\nl2\""},
		{"backslash last", `a\`, `A=a\`},
		{"apostrophe, quote last", `it's "x"`, `A=it's "x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Format("A", []byte(c.value))
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestFormatRefuses(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"blank first, backslash last", ` a\`},
		{"lines, backslash last", "a\n\\"},
		{"apostrophe, lines, quote last", "it's\n\"x\""},
		{"dollar, backslash last", `$X\`},
		{"NUL", "a\x00"},
		{"not UTF-8", "p\xe4ss"},
		{"one byte too many", strings.Repeat("x", secrets.MaxSize+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, err := Format("A", []byte(c.value))
			if !errors.Is(err, ErrNoForm) || line != "" {
				t.Fatalf("a line of %d bytes, %v", len(line), err)
			}
			if strings.Contains(err.Error(), c.value) {
				t.Error("the error quotes the value")
			}
		})
	}
	for _, key := range []string{"", "A B", "A=B", "1A", "A-B", "É", "A\nB"} {
		if line, err := Format(key, []byte("b")); err == nil || line != "" {
			t.Errorf("a key that is no name was written: %q", line)
		}
	}
}
