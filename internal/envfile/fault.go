package envfile

import (
	"cmp"
	"fmt"
	"strings"
)

// fault is a reason to refuse a key. Its messages are fixed: no part of the file
// except a legal key and line numbers can get into a problem.
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
	faultCount // the number of faults
)

// text is the message for a fault.
type text struct {
	what, next string
	// literal and asCompose say which option may settle it.
	literal, asCompose bool
}

// Next steps that several faults share. KEY stands for the key.
const (
	nextEither  = "to keep it as written, put it in single quotes (if it contains none) or pass -literal=KEY; to take what Compose reads, pass -asCompose=KEY"
	nextLiteral = "to keep it as written, put it in single quotes (if it contains none) or pass -literal=KEY"
	nextSet     = "store it without this file: secrets:set KEY reads standard input"
	nextAssign  = "write NAME=value, or put # before the line; a value of several lines needs quotes"
)

// textOf returns the message for a fault. A %d in what is the line of the
// earlier assignment.
func textOf(f fault) text {
	return [faultCount]text{
		faultName:           {what: "this line is not an assignment to a legal name ([A-Za-z_][A-Za-z0-9_]*)", next: nextAssign},
		faultBase64:         {what: "this line looks like the end of base64 data, not like an assignment of an empty value", next: "a value of several lines needs quotes; put # before the line if it is not needed"},
		faultNameBlank:      {what: "two readings that differ: as written, with blanks other than space and tab around the name or before the value, and as Compose, which drops them", next: "remove these blanks, or pass -asCompose=KEY", asCompose: true},
		faultBare:           {what: "this line has no value: Compose would take one from the shell that started it", next: nextAssign},
		faultUnterminated:   {what: "the quote that opens the value is never closed", next: "close it, or quote the value with the other kind of quote"},
		faultMispaired:      {what: "the quote that opens the value is closed in the middle of a later line", next: "close the quotes of this value, or escape the ones within it"},
		faultPEM:            {what: "a PEM block of several lines is not in quotes", next: "put single quotes before -----BEGIN and after the last -----"},
		faultAfterQuote:     {what: "text follows the closing quote: as written it belongs to the value, but Compose ignores it", next: "quote the whole value, or begin a comment with a blank and #; -asCompose=KEY takes what Compose reads", asCompose: true},
		faultGlued:          {what: "two readings that differ: as written, part of the quoted value before it, and as Compose, a separate assignment", next: "put it on a separate line, or pass -asCompose=KEY", asCompose: true},
		faultColon:          {what: "two readings that differ: as written, a line without =, and as Compose, which reads : as =", next: "write KEY=value, or a blank after the colon; -asCompose=KEY takes what Compose reads", asCompose: true},
		faultLoneCR:         {what: "two readings that differ: as written, with a carriage return that ends the line, and as Compose, which makes it part of the value", next: "save the file with line feeds at the line ends, or pass -asCompose=KEY", asCompose: true},
		faultQuoteEscape:    {what: "two readings that differ: as written, where a backslash has no meaning in single quotes, and as Compose, which reads \\' as a quote", next: "write it in double quotes, or pass -asCompose=KEY", asCompose: true},
		faultNUL:            {what: "the value contains a NUL byte, which no environment variable can hold", next: nextSet},
		faultUTF8:           {what: "two readings that differ: as written, with bytes that are not UTF-8, and as Compose, which replaces them", next: "save the file as UTF-8; to keep the bytes as written, pass -literal=KEY", literal: true},
		faultTooLarge:       {what: "the value is larger than the limit for a secret (511999 bytes)", next: "give the service a file instead, in a volume or in its image"},
		faultDuplicate:      {what: "assigned again; the first time is on line %d", next: "remove one of the two"},
		faultPanic:          {what: "a parser failed (panic) on this value", next: nextSet},
		faultDollar:         {what: "two readings that differ: as written, and as Compose expands $ variables", next: nextEither, literal: true, asCompose: true},
		faultEscape:         {what: "two readings that differ: as written, and as Compose decodes backslash escapes", next: nextEither, literal: true, asCompose: true},
		faultComment:        {what: "two readings that differ: as written, and as Compose finds the # that begins a comment", next: nextEither, literal: true, asCompose: true},
		faultBlank:          {what: "two readings that differ: as written, and as Compose trims blanks other than space and tab", next: nextEither, literal: true, asCompose: true},
		faultComposeRefuses: {what: "Compose refuses to read this value: it contains a $ that does not begin a variable", next: nextLiteral, literal: true},
		faultComposeUnknown: {what: "the value that Compose reads by expanding $ variables cannot be determined: it takes too long, or depends on lines that cannot be read", next: nextLiteral, literal: true},
		faultBothOptions:    {what: "named by both -literal and -asCompose", next: "pass one of the two"},
		faultNotInFile:      {what: "named by -literal or -asCompose, but not assigned in the file", next: "check the spelling"},
		faultUTF16:          {what: "the file is UTF-16", next: "save it as UTF-8"},
	}[f]
}

// problem returns the problem for a fault. first is the line of the first
// assignment, for faultDuplicate only.
func (f fault) problem(file string, line, first int, key string) Problem {
	t := textOf(f)
	next := strings.ReplaceAll(t.next, "KEY", cmp.Or(key, "NAME"))
	p := Problem{File: file, Line: line, Key: key, What: t.what, Next: next}
	if f == faultDuplicate {
		p.What = fmt.Sprintf(t.what, first)
	}
	return p
}
