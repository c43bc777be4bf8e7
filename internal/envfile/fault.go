package envfile

import (
	"fmt"
	"strings"
)

// fault is a reason to refuse a key. Its texts are fixed: nothing of the file
// but a legal key and line numbers can get into a problem.
type fault int

const (
	noFault fault = iota
	faultName
	faultBase64
	faultNameBlank
	faultBare
	faultUnterminated
	faultMispaired
	faultPEM
	faultAfterQuote
	faultGlued
	faultColon
	faultLoneCR
	faultQuoteEscape
	faultNUL
	faultUTF8
	faultTooLarge
	faultDuplicate
	faultPanic
	faultDollar
	faultEscape
	faultComment
	faultBlank
	faultComposeRefuses
	faultComposeUnknown
	faultBothOptions
	faultNotInFile
	faultUTF16
	faultCount // how many there are
)

// text is what a person is told about a fault.
type text struct {
	what, next string
	// literal and asCompose tell which option may settle it.
	literal, asCompose bool
}

// The ways out that several faults share. KEY stands for the key.
const (
	nextEither = "to keep it as written, put it in single quotes (where it holds none) or pass -literal=KEY; to take what Compose reads, pass -asCompose=KEY"
	nextSet    = "store it without this file: secrets:set KEY reads standard input"
)

// textOf returns the texts of a fault. A %d in what is the line of the earlier
// assignment.
func textOf(f fault) text {
	switch f {
	case faultName:
		return text{what: "this line is no assignment to a legal name ([A-Za-z_][A-Za-z0-9_]*)", next: "write NAME=value, or put # before the line; a value of several lines needs quotes"}
	case faultBase64:
		return text{what: "this line looks like the end of base64 data, not like an assignment of nothing", next: "a value of several lines needs quotes; put # before the line if it is not needed"}
	case faultNameBlank:
		return text{what: "two readings that differ: as written, with blanks other than space and tab around the name or before the value, and as Compose, which drops them", next: "remove these blanks, or pass -asCompose=KEY", asCompose: true}
	case faultBare:
		return text{what: "this line has no value: Compose would take one from the shell that started it", next: "write NAME=value, or put # before the line; a value of several lines needs quotes"}
	case faultUnterminated:
		return text{what: "the quote that opens the value is never closed", next: "close it, or quote the value with the other kind of quote"}
	case faultMispaired:
		return text{what: "the quote that opens the value is closed in the middle of a later line", next: "close the quotes of this value, or escape the ones within it"}
	case faultPEM:
		return text{what: "a PEM block of several lines stands here without quotes", next: "put single quotes before -----BEGIN and after the last -----"}
	case faultAfterQuote:
		return text{what: "text follows the closing quote: as written it belongs to the value, Compose leaves it out", next: "quote the whole value, or begin a comment with a blank and #; -asCompose=KEY takes what Compose reads", asCompose: true}
	case faultGlued:
		return text{what: "two readings that differ: as written, part of the quoted value before it, and as Compose, an assignment of its own", next: "put it on a line of its own, or pass -asCompose=KEY", asCompose: true}
	case faultColon:
		return text{what: "two readings that differ: as written, a line without =, and as Compose, which takes : for =", next: "write KEY=value, or a blank after the colon; -asCompose=KEY takes what Compose reads", asCompose: true}
	case faultLoneCR:
		return text{what: "two readings that differ: as written, with a carriage return that ends the line, and as Compose, to which it is part of the value", next: "save the file with line feeds at the line ends, or pass -asCompose=KEY", asCompose: true}
	case faultQuoteEscape:
		return text{what: "two readings that differ: as written, where a backslash is nothing special in single quotes, and as Compose, which takes \\' for a quote", next: "write it in double quotes, or pass -asCompose=KEY", asCompose: true}
	case faultNUL:
		return text{what: "the value holds a NUL byte, which no environment can carry", next: nextSet}
	case faultUTF8:
		return text{what: "two readings that differ: as written, bytes that are not UTF-8, and as Compose hands them on, replaced", next: "save the file as UTF-8; to keep the bytes as written, pass -literal=KEY", literal: true}
	case faultTooLarge:
		return text{what: "the value is larger than a secret may be (511999 bytes)", next: "give the service a file instead, by a volume or in its image"}
	case faultDuplicate:
		return text{what: "assigned again; the first time is on line %d", next: "remove one of the two"}
	case faultPanic:
		return text{what: "a parser broke on this value", next: nextSet}
	}
	return textOfDifference(f)
}

// textOfDifference is textOf for the faults that options can settle, and for
// those of the options themselves.
func textOfDifference(f fault) text {
	switch f {
	case faultDollar:
		return text{what: "two readings that differ: as written, and as Compose expands $ variables", next: nextEither, literal: true, asCompose: true}
	case faultEscape:
		return text{what: "two readings that differ: as written, and as Compose decodes backslash escapes", next: nextEither, literal: true, asCompose: true}
	case faultComment:
		return text{what: "two readings that differ: as written, and as Compose finds the # that begins a comment", next: nextEither, literal: true, asCompose: true}
	case faultBlank:
		return text{what: "two readings that differ: as written, and as Compose trims blanks other than space and tab", next: nextEither, literal: true, asCompose: true}
	case faultComposeRefuses:
		return text{what: "one reading as written, and Compose refuses to read it: it holds a $ that begins no variable", next: "to keep it as written, put it in single quotes (where it holds none) or pass -literal=KEY", literal: true}
	case faultComposeUnknown:
		return text{what: "one reading as written, and one as Compose expands $ variables that cannot be known here: it takes too long, or depends on lines that cannot be read", next: "to keep it as written, put it in single quotes (where it holds none) or pass -literal=KEY", literal: true}
	case faultBothOptions:
		return text{what: "named by -literal and by -asCompose", next: "pass one of the two"}
	case faultNotInFile:
		return text{what: "named by -literal or -asCompose, and the file does not assign it", next: "check the spelling"}
	case faultUTF16:
		return text{what: "the file is UTF-16", next: "save it as UTF-8"}
	}
	return text{}
}

// problem renders a fault. first is the line of the first assignment, for
// faultDuplicate alone.
func (f fault) problem(file string, line, first int, key string) Problem {
	t := textOf(f)
	if key == "" {
		t.next = strings.ReplaceAll(t.next, "KEY", "NAME")
	} else {
		t.next = strings.ReplaceAll(t.next, "KEY", key)
	}
	p := Problem{File: file, Line: line, Key: key, What: t.what, Next: t.next}
	if f == faultDuplicate {
		p.What = fmt.Sprintf(t.what, first)
	}
	return p
}
