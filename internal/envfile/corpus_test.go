package envfile

import (
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// row is one tricky input and keepmum's result for it: entries as KEY=‹value›
// (followed by ~ if it has a note), then problems as LINE:KEY:FAULT. The results
// of the other readers are in docs/ENV_FILES.md; every run of the tests measures
// them again.
type row struct {
	name, input, want string
	shown             string // replaces an input that is too large to show
}

// corpus returns the rows of docs/ENV_FILES.md in their order.
func corpus() []section {
	return []section{
		{"Plain values", plainRows()},
		{"Quotes", quoteRows()},
		{"Dollar signs", dollarRows()},
		{"Backslashes", backslashRows()},
		{"Comments and blanks", blankRows()},
		{"Values of several lines", multiLineRows()},
		{"Names and lines", nameRows()},
		{"Line ends, encodings, sizes", byteRows()},
	}
}

// section is a group of rows under one heading.
type section struct {
	heading string
	rows    []row
}

func plainRows() []row {
	return []row{
		{name: "plain", input: "A=b\n", want: "A=‹b›"},
		{name: "no newline at the end", input: "A=b", want: "A=‹b›"},
		{name: "two keys", input: "A=b\nB=c\n", want: "A=‹b› B=‹c›"},
		{name: "empty value", input: "A=\nB=x\n", want: "A=‹› B=‹x›"},
		{name: "spaces within", input: "A=hello world\n", want: "A=‹hello world›"},
		{name: "= in the value", input: "A=b=c==\n", want: "A=‹b=c==›"},
		{name: "base64", input: "A=ab/+cd==\n", want: "A=‹ab/+cd==›"},
		{name: "URL with # and &", input: "A=postgres://u:p#a@h/db?x=1&y=2\n", want: "A=‹postgres://u:p#a@h/db?x=1&y=2›"},
		{name: "JSON without quotes", input: `A={"k":"v"}` + "\n", want: `A=‹{"k":"v"}›`},
		{name: "semicolon", input: "A=b; B=c\n", want: "A=‹b; B=c›"},
		{name: "two on a line, unquoted", input: "A=b B=c\n", want: "A=‹b B=c›"},
		{name: "tilde", input: "A=~/x\n", want: "A=‹~/x›"},
		{name: "glob", input: "A=*\n", want: "A=‹*›"},
		{name: "number with zeros", input: "A=007\n", want: "A=‹007›"},
		{name: "unicode", input: "A=héllo☃\n", want: "A=‹héllo☃›"},
		{name: "lower-case name", input: "abc=d\n", want: "abc=‹d›"},
		{name: "quote within, unquoted", input: "A=a\"b\n", want: "A=‹a\"b›"},
		{name: "apostrophe, unquoted", input: "A=it's\n", want: "A=‹it's›"},
		{name: "quoted word within, unquoted", input: "A=say \"hi\" now\n", want: "A=‹say \"hi\" now›"},
		{name: "placeholder in angle brackets", input: "A=<your key>\n", want: "A=‹<your key>›"},
	}
}

func quoteRows() []row {
	return []row{
		{name: "empty, double", input: "A=\"\"\n", want: "A=‹›"},
		{name: "empty, single", input: "A=''\n", want: "A=‹›"},
		{name: "double", input: "A=\"b c\"\n", want: "A=‹b c›"},
		{name: "single", input: "A='b c'\n", want: "A=‹b c›"},
		{name: "blanks kept in double", input: "A=\" b  \"\n", want: "A=‹ b  ›"},
		{name: "blanks kept in single", input: "A=' b  '\n", want: "A=‹ b  ›"},
		{name: "single within double", input: "A=\"it's\"\n", want: "A=‹it's›"},
		{name: "double within single", input: "A='say \"hi\"'\n", want: "A=‹say \"hi\"›"},
		{name: "escaped double", input: `A="a\"b"` + "\n", want: `A=‹a"b›`},
		{name: "escaped single", input: `A='a\'b'` + "\n", want: "1:A:quoteEscape"},
		{name: "single quote, as in a shell", input: `A='a'"'"'b'` + "\n", want: "1:A:afterQuote 1::name"},
		{name: "ends in an escaped quote", input: `A="say \"hi\""` + "\n", want: `A=‹say "hi"›~`},
		{name: "text after the quote", input: "A=\"b\"c\n", want: "1:A:afterQuote 1::bare"},
		{name: "assignment after the quote", input: "A=\"b\"B=c\n", want: "1:A:afterQuote 1:B:glued"},
		{name: "two on a line, quoted", input: "A=\"b\" B=\"c\"\n", want: "A=‹b› B=‹c›"},
		{name: "word after a quoted value", input: "A=\"b\" c\n", want: "1:A:afterQuote 1::bare"},
		{name: "open double quote", input: "A=\"abc\nB=x\n", want: "B=‹x› 1:A:unterminated"},
		{name: "open single quote", input: "A='abc\nB=x\n", want: "B=‹x› 1:A:unterminated"},
		{name: "open quote, closed by the next value's", input: "A=\"abc\nB=\"x-y!\"\nC=z\n", want: "B=‹x-y!› C=‹z› 1:A:mispaired"},
		{name: "JSON in single quotes", input: `A='{"k":"v $x"}'` + "\n", want: `A=‹{"k":"v $x"}›`},
		{name: "typographic quotes", input: "A=“b”\n", want: "A=‹“b”›"},
		{name: "backticks as quotes", input: "A=`b`\n", want: "A=‹`b`›"},
		{name: "! in double quotes", input: "A=\"a!b\"\n", want: "A=‹a!b›"},
		{name: "two quotes within double", input: `A="""b"""` + "\n", want: "1:A:afterQuote 1::name"},
	}
}

func dollarRows() []row {
	return []row{
		{name: "password with $ in double", input: "A=\"pa$SWORD1!\"\n", want: "1:A:dollar"},
		{name: "password with $, unquoted", input: "A=Tr0ub4dor&3$USER!\n", want: "1:A:dollar"},
		{name: "password with $ in single", input: "A='pa$SWORD1!'\n", want: "A=‹pa$SWORD1!›"},
		{name: "$ and lower case", input: "A=\"pa$w0rd\"\n", want: "1:A:dollar"},
		{name: "reference, unquoted", input: "X=1\nA=$X\n", want: "X=‹1› 2:A:dollar"},
		{name: "reference in braces", input: "X=1\nA=\"${X}y\"\n", want: "X=‹1› 2:A:dollar"},
		{name: "reference in single quotes", input: "X=1\nA='$X'\n", want: "X=‹1› A=‹$X›"},
		{name: "reference to itself as written", input: "X='$X'\nA=$X\n", want: "X=‹$X› A=‹$X›"},
		{name: "variable that is not set", input: "A=p$NOPE-q\n", want: "1:A:dollar"},
		{name: "variable of the host", input: "A=$HOST_VAR\n", want: "1:A:dollar"},
		{name: "default value", input: "A=${NOPE:-def}\n", want: "1:A:dollar"},
		{name: "default if not set", input: "A=${NOPE-def}\n", want: "1:A:dollar"},
		{name: "value required", input: "A=${NOPE:?oops}\n", want: "1:A:composeRefuses"},
		{name: "two dollars, unquoted", input: "A=pa$$w0rd\n", want: "1:A:dollar"},
		{name: "two dollars in double", input: "A=\"a$$b\"\n", want: "1:A:dollar"},
		{name: "two dollars in single", input: "A='a$$b'\n", want: "A=‹a$$b›"},
		{name: "escaped $ in double", input: `A="pa\$w0rd"` + "\n", want: "A=‹pa$w0rd›"},
		{name: "escaped $, unquoted", input: `A=pa\$w0rd` + "\n", want: "1:A:dollar"},
		{name: "escaped backslash before $", input: `A="pa\\$w0rd"` + "\n", want: "1:A:dollar"},
		{name: "$ at the end", input: "A=abc$\n", want: "A=‹abc$›"},
		{name: "$ before a blank", input: "A=\"5 $ off\"\n", want: "A=‹5 $ off›"},
		{name: "$ before a digit", input: "A=a$1b\n", want: "A=‹a$1b›~"},
		{name: "command", input: "A=$(echo hi)\n", want: "A=‹$(echo hi)›"},
		{name: "command, upper case", input: "A=$(FOO)\n", want: "A=‹$(FOO)›~"},
		{name: "command in backticks", input: "A=`echo hi`\n", want: "A=‹`echo hi`›"},
		{name: "open brace", input: "A=a${b\n", want: "1:A:composeRefuses"},
		{name: "empty braces", input: "A=${}\n", want: "1:A:composeRefuses"},
	}
}

func backslashRows() []row {
	return []row{
		{name: "backslash, unquoted", input: `A=a\b` + "\n", want: `A=‹a\b›`},
		{name: `\n, unquoted`, input: `A=a\nb` + "\n", want: `A=‹a\nb›`},
		{name: `\n in double`, input: `A="a\nb"` + "\n", want: "A=‹a\nb›"},
		{name: `\n in single`, input: `A='a\nb'` + "\n", want: `A=‹a\nb›`},
		{name: `\r in double`, input: `A="a\rb"` + "\n", want: "A=‹a\rb›"},
		{name: `\t in double`, input: `A="a\tb"` + "\n", want: "1:A:escape"},
		{name: `\t in single`, input: `A='a\tb'` + "\n", want: `A=‹a\tb›`},
		{name: `\\ in double`, input: `A="a\\b"` + "\n", want: `A=‹a\b›`},
		{name: `\\ in single`, input: `A='a\\b'` + "\n", want: `A=‹a\\b›`},
		{name: `\\n in double`, input: `A="a\\nb"` + "\n", want: `A=‹a\nb›`},
		{name: "Windows path in double", input: `A="C:\new\temp"` + "\n", want: "1:A:escape"},
		{name: "Windows path in single", input: `A='C:\new\temp'` + "\n", want: `A=‹C:\new\temp›`},
		{name: "Windows path, unquoted", input: `A=C:\new\temp` + "\n", want: `A=‹C:\new\temp›`},
		{name: "unknown escape in double", input: `A="C:\dir"` + "\n", want: `A=‹C:\dir›~`},
		{name: `\' in double`, input: `A="it\'s"` + "\n", want: `A=‹it\'s›~`},
		{name: "octal in double", input: `A="a\0101b"` + "\n", want: "1:A:escape"},
		{name: "octal $ in double", input: `A="a\0044X"` + "\n", want: "1:A:composeUnknown"},
		{name: `\x in double`, input: `A="a\x41b"` + "\n", want: `A=‹a\x41b›~`},
		{name: "ends in a backslash, unquoted", input: `A=a\` + "\n", want: `A=‹a\›`},
		{name: "ends in a backslash, more lines", input: "A=a\\\nB=c\n", want: `A=‹a\› B=‹c›`},
		{name: "continued line", input: "A=a\\\nb\n", want: `A=‹a\› 2::bare`},
		{name: "ends in two backslashes, double", input: `A="a\\"` + "\nB=x\n", want: `A=‹a\› B=‹x›`},
		{name: "ends in two backslashes, single", input: `A='a\\'` + "\nB=x\n", want: `A=‹a\\› B=‹x›`},
		{name: "ends in a backslash, single", input: `A='C:\'` + "\nB=x\n", want: "B=‹x› 1:A:unterminated"},
	}
}

func blankRows() []row {
	return []row{
		{name: "spaces around =", input: "A = b\n", want: "A=‹b›"},
		{name: "space after =", input: "A= b\n", want: "A=‹b›"},
		{name: "spaces at the end", input: "A=b  \n", want: "A=‹b›"},
		{name: "tab around =", input: "A\t=\tb\t\n", want: "A=‹b›"},
		{name: "blank before the name", input: "   A=b\n", want: "A=‹b›"},
		{name: "no-break space after =", input: "A=\u00a0b\n", want: "1:A:blank"},
		{name: "no-break space at the end", input: "A=b\u00a0\n", want: "1:A:blank"},
		{name: "no-break space within", input: "A=b\u00a0c\n", want: "A=‹b\u00a0c›"},
		{name: "no-break space in quotes", input: "A='\u00a0b'\n", want: "A=‹\u00a0b›"},
		{name: "no-break space before the name", input: "\u00a0A=b\n", want: "1:A:nameBlank"},
		{name: "no-break space after the name", input: "A\u00a0=b\n", want: "1:A:nameBlank"},
		{name: "no-break space before the quote", input: "A=\u00a0\"b\"\n", want: "1:A:nameBlank"},
		{name: "form feed after export", input: "export\fA=b\n", want: "1:A:nameBlank"},
		{name: "export alone on a line", input: "export\nA=b\n", want: "A=‹b› 1::bare"},
		{name: "export at the end of the file", input: "A=b\nexport ", want: "A=‹b› 2::bare"},
		{name: "form feed at the end", input: "A=b\f\n", want: "1:A:blank"},
		{name: "comment", input: "A=b # c\n", want: "A=‹b›"},
		{name: "# without a blank", input: "A=b#c\n", want: "A=‹b#c›"},
		{name: "# first", input: "A=#b\n", want: "A=‹#b›"},
		{name: "# after =, with a blank", input: "A= # b\n", want: "1:A:comment"},
		{name: "# after a tab", input: "A=b\t# c\n", want: "1:A:comment"},
		{name: "two # after blanks", input: "A=b # c # d\n", want: "A=‹b›~"},
		{name: "# in double", input: "A=\"b # c\"\n", want: "A=‹b # c›"},
		{name: "# in single", input: "A='b # c'\n", want: "A=‹b # c›"},
		{name: "# in quotes within a value", input: "A=--x=\"b # c\"\n", want: "1:A:comment"},
		{name: "comment after double", input: "A=\"b\" # c\n", want: "A=‹b›"},
		{name: "comment with quotes after double", input: "A=\"b\" # it's \"c\"\n", want: "A=‹b›"},
		{name: "comment after double, no blank", input: "A=\"b\"#c\n", want: "1:A:afterQuote"},
		{name: "comment after apostrophe", input: "A=it's # c\n", want: "A=‹it's›"},
		{name: "comment lines", input: "# A=z\n  # B=z\nC=1\n", want: "C=‹1›"},
		{name: "blank lines", input: "\n  \n\t\nA=b\n", want: "A=‹b›"},
		{name: "nothing", input: "", want: ""},
	}
}

func multiLineRows() []row {
	pem := "-----BEGIN K-----\nab+/=\n-----END K-----\n"
	return []row{
		{name: "double", input: "A=\"l1\nl2\"\n", want: "A=‹l1\nl2›"},
		{name: "single", input: "A='l1\nl2'\n", want: "A=‹l1\nl2›"},
		{name: "PEM in double", input: "A=\"" + pem + "\"\nB=x\n", want: "A=‹" + pem + "› B=‹x›"},
		{name: "PEM in single", input: "A='" + pem + "'\nB=x\n", want: "A=‹" + pem + "› B=‹x›"},
		{name: `PEM on one line with \n`, input: `A="-----BEGIN K-----\nab+/=\n-----END K-----\n"` + "\n", want: "A=‹" + pem + "›"},
		{name: "PEM without quotes", input: "A=" + pem + "B=x\n", want: "B=‹x› 1:A:pem"},
		{name: "PEM without quotes, lines like names", input: "A=-----BEGIN K-----\nabcd\nefgh==\n-----END K-----\nB=x\n", want: "B=‹x› 1:A:pem"},
		{name: "PEM, quote not closed", input: "A=\"" + pem + "B=x\n", want: "B=‹x› 1:A:unterminated"},
		{name: "comment sign on a later line", input: "A=\"l1\n# l2\"\n", want: "A=‹l1\n# l2›"},
		{name: "assignment within the quotes", input: "A='l1\nB=2'\nC=3\n", want: "A=‹l1\nB=2› C=‹3›"},
		{name: "carriage returns within double", input: "A=\"l1\r\nl2\"\r\n", want: "A=‹l1\r\nl2›~"},
		{name: "lines without quotes", input: "A=l1\nl2\nB=x\n", want: "A=‹l1› B=‹x› 2::bare"},
	}
}

func nameRows() []row {
	return []row{
		{name: "export", input: "export A=b\n", want: "A=‹b›"},
		{name: "export and tab", input: "export\tA=b\n", want: "A=‹b›"},
		{name: "exportA", input: "exportA=b\n", want: "exportA=‹b›"},
		{name: "a key named export", input: "export=b\n", want: "export=‹b›"},
		{name: "export without a value", input: "export A\n", want: "1::bare"},
		{name: "export after the assignment", input: "A=b\nexport A\n", want: "A=‹b›"},
		{name: "name alone", input: "A\nB=x\n", want: "B=‹x› 1::bare"},
		{name: "name alone after its assignment", input: "A=b\nA\n", want: "A=‹b› 2::bare"},
		{name: "name alone, no newline", input: "B=x\nA", want: "B=‹x› 2::bare"},
		{name: "YAML", input: "A: b\n", want: "A=‹b›"},
		{name: "YAML without a blank", input: "A:b\n", want: "1:A:colon"},
		{name: "YAML with quotes", input: "A: \"b\"\n", want: "A=‹b›"},
		{name: "duplicate", input: "A=1\nB=x\nA=2\n", want: "B=‹x› 3:A:duplicate"},
		{name: "duplicate, the same", input: "A=1\nA=1\n", want: "2:A:duplicate"},
		{name: "duplicate that appends", input: "A=1\nA=${A}2\n", want: "2:A:duplicate"},
		{name: "hyphen in the name", input: "A-B=c\nD=e\n", want: "D=‹e› 1::name"},
		{name: "dot in the name", input: "A.B=c\nD=e\n", want: "D=‹e› 1::name"},
		{name: "digit first", input: "1A=b\nD=e\n", want: "D=‹e› 1::name"},
		{name: "non-ASCII letter in the name", input: "É=b\nD=e\n", want: "D=‹e› 1::name"},
		{name: "space in the name", input: "A B=c\nD=e\n", want: "D=‹e› 1::name"},
		{name: "no name", input: "=b\nD=e\n", want: "D=‹e› 1::name"},
		{name: "command", input: "set -a\nD=e\n", want: "D=‹e› 1::name"},
		{name: "section of an ini file", input: "[default]\nD=e\n", want: "D=‹e› 1::bare"},
		{name: "fish and csh", input: "set A b\nD=e\n", want: "D=‹e› 1::name"},
		{name: "the rest of some base64", input: "A=MIIEvQIBADANBgkq\nhkiG9w0BAQEFAA==\nD=e\n", want: "A=‹MIIEvQIBADANBgkq› D=‹e› 2::base64"},
		{name: "a long name, empty value", input: "THEODDSAPIKEY=\nApiBasketball3X=\nAPI_2_Keys_Long=\n", want: "THEODDSAPIKEY=‹› API_2_Keys_Long=‹› 2::base64"},
		{name: "a value pasted alone", input: "sk_live_0123/abc+x==\nD=e\n", want: "D=‹e› 1::name"},
	}
}

func byteRows() []row {
	long := strings.Repeat("x", 1<<20)
	limit := strings.Repeat("x", secrets.MaxSize)
	return []row{
		{name: "CRLF", input: "A=b\r\nB=c\r\n", want: "A=‹b› B=‹c›"},
		{name: "CRLF and quotes", input: "A=\"b\"\r\nB='c'\r\n", want: "A=‹b› B=‹c›"},
		{name: "CRLF and a comment", input: "A=b # c\r\n", want: "A=‹b›"},
		{name: "CR at the end of the file", input: "A=b\r", want: "A=‹b›"},
		{name: "CR alone ends the lines", input: "A=b\rB=c\r", want: "1:A:loneCR"},
		{name: "CR within, unquoted", input: "A=b\rc\n", want: "1:A:loneCR"},
		{name: "CR within double", input: "A=\"b\rc\"\n", want: "A=‹b\rc›"},
		{name: "byte order mark", input: "\ufeffA=b\n", want: "A=‹b›"},
		{name: "byte order mark on a later line", input: "A=b\n\ufeffB=c\n", want: "A=‹b› 2::name"},
		{name: "NUL in the value", input: "A=a\x00b\nB=x\n", want: "B=‹x› 1:A:nul"},
		{name: "Latin-1", input: "A=p\xe4ss\nB=x\n", want: "B=‹x› 1:A:utf8"},
		{name: "UTF-16", input: "\xff\xfeA\x00=\x00b\x00", want: "0::utf16"},
		{name: "right-to-left mark", input: "A=b\u200f\n", want: "A=‹b\u200f›"},
		{name: "zero-width space at the end", input: "A=b\u200b\n", want: "A=‹b\u200b›"},
		{name: "the largest value", input: "A=" + limit + "\nB=x\n", want: "A=‹" + limit + "› B=‹x›", shown: "A=x…x (511999 bytes) and B=x"},
		{name: "one byte more", input: "A=" + limit + "y\nB=x\n", want: "B=‹x› 1:A:tooLarge", shown: "A=x…xy (512000 bytes) and B=x"},
		{name: "a line of 1 MB", input: "A=" + long + "\nB=x\n", want: "B=‹x› 1:A:tooLarge", shown: "A=x…x (1048576 bytes) and B=x"},
		{name: "a comment of 1 MB", input: "A=b # " + long + "\nB=x\n", want: "A=‹b› B=‹x›", shown: "A=b # x…x (1048576 bytes) and B=x"},
	}
}
