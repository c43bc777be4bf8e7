package envfile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// reason is a reason to refuse a key. Its messages are fixed: no part of the file
// except a legal key and line numbers can get into a problem.
type reason int

const (
	noReason reason = iota
	reasonName
	reasonBase64
	reasonNameBlank
	reasonBare
	reasonUnterminated
	reasonMispaired
	reasonPEM
	reasonAfterQuote
	reasonGlued
	reasonColon
	reasonLoneCR
	reasonQuoteEscape
	reasonNUL
	reasonUTF8
	reasonTooLarge
	reasonDuplicate
	reasonPanic
	reasonDollar
	reasonEscape
	reasonComment
	reasonBlank
	reasonComposeRefuses
	reasonComposeUnknown
	reasonBothOptions
	reasonNotInFile
	reasonUTF16
	reasonCount // the number of reasons
)

// text is the message for a reason.
type text struct {
	what, next string
	// literal and asCompose say which option may settle it.
	literal, asCompose bool
}

// Next steps that several reasons share. KEY stands for the key.
const (
	nextEither  = "to keep it as written, put it in single quotes (if it contains none) or pass -literal=KEY; to take what Compose reads, pass -asCompose=KEY"
	nextLiteral = "to keep it as written, put it in single quotes (if it contains none) or pass -literal=KEY"
	nextSet     = "store it without this file: secrets:set KEY reads standard input"
	nextAssign  = "write NAME=value, or put # before the line; a value of several lines needs quotes"
)

// textOf returns the message for a reason. A %d in what is the line of the
// earlier assignment.
func textOf(f reason) text {
	return [reasonCount]text{
		reasonName:           {what: "this line is not an assignment to a legal name ([A-Za-z_][A-Za-z0-9_]*)", next: nextAssign},
		reasonBase64:         {what: "this line looks like the end of base64 data, not like an assignment of an empty value", next: "a value of several lines needs quotes; put # before the line if it is not needed"},
		reasonNameBlank:      {what: "two readings that differ: as written, with blanks other than space and tab around the name or before the value, and as Compose, which drops them", next: "remove these blanks, or pass -asCompose=KEY", asCompose: true},
		reasonBare:           {what: "this line has no value: Compose would take one from the shell that started it", next: nextAssign},
		reasonUnterminated:   {what: "the quote that opens the value is never closed", next: "close it, or quote the value with the other kind of quote"},
		reasonMispaired:      {what: "the quote that opens the value is closed in the middle of a later line", next: "close the quotes of this value, or escape the ones within it"},
		reasonPEM:            {what: "a PEM block of several lines is not in quotes", next: "put single quotes before -----BEGIN and after the last -----"},
		reasonAfterQuote:     {what: "text follows the closing quote: as written it belongs to the value, but Compose ignores it", next: "quote the whole value, or begin a comment with a blank and #; -asCompose=KEY takes what Compose reads", asCompose: true},
		reasonGlued:          {what: "two readings that differ: as written, part of the quoted value before it, and as Compose, a separate assignment", next: "put it on a separate line, or pass -asCompose=KEY", asCompose: true},
		reasonColon:          {what: "two readings that differ: as written, a line without =, and as Compose, which reads : as =", next: "write KEY=value, or a blank after the colon; -asCompose=KEY takes what Compose reads", asCompose: true},
		reasonLoneCR:         {what: "two readings that differ: as written, with a carriage return that ends the line, and as Compose, which makes it part of the value", next: "save the file with line feeds at the line ends, or pass -asCompose=KEY", asCompose: true},
		reasonQuoteEscape:    {what: "two readings that differ: as written, where a backslash has no meaning in single quotes, and as Compose, which reads \\' as a quote", next: "write it in double quotes, or pass -asCompose=KEY", asCompose: true},
		reasonNUL:            {what: "the value contains a NUL byte, which no environment variable can hold", next: nextSet},
		reasonUTF8:           {what: "two readings that differ: as written, with bytes that are not UTF-8, and as Compose, which replaces them", next: "save the file as UTF-8; to keep the bytes as written, pass -literal=KEY", literal: true},
		reasonTooLarge:       {what: "the value is larger than the limit for a secret (511999 bytes)", next: "give the service a file instead, in a volume or in its image"},
		reasonDuplicate:      {what: "assigned again; the first time is on line %d", next: "remove one of the two"},
		reasonPanic:          {what: "a parser failed (panic) on this value", next: nextSet},
		reasonDollar:         {what: "two readings that differ: as written, and as Compose expands $ variables", next: nextEither, literal: true, asCompose: true},
		reasonEscape:         {what: "two readings that differ: as written, and as Compose decodes backslash escapes", next: nextEither, literal: true, asCompose: true},
		reasonComment:        {what: "two readings that differ: as written, and as Compose finds the # that begins a comment", next: nextEither, literal: true, asCompose: true},
		reasonBlank:          {what: "two readings that differ: as written, and as Compose trims blanks other than space and tab", next: nextEither, literal: true, asCompose: true},
		reasonComposeRefuses: {what: "Compose refuses to read this value: it contains a $ that does not begin a variable", next: nextLiteral, literal: true},
		reasonComposeUnknown: {what: "the value that Compose reads by expanding $ variables cannot be determined: it takes too long, or depends on lines that cannot be read", next: nextLiteral, literal: true},
		reasonBothOptions:    {what: "named by both -literal and -asCompose", next: "pass one of the two"},
		reasonNotInFile:      {what: "named by -literal or -asCompose, but not assigned in the file", next: "check the spelling"},
		reasonUTF16:          {what: "the file is UTF-16", next: "save it as UTF-8"},
	}[f]
}

// problem returns the problem for a reason. first is the line of the first
// assignment, for reasonDuplicate only.
func (f reason) problem(file string, line, first int, key string) fault.Finding {
	t := textOf(f)
	next := strings.ReplaceAll(t.next, "KEY", cmp.Or(key, "NAME"))
	p := fault.Finding{File: file, Line: line, Subject: key, Problem: t.what, Next: next}
	if f == reasonDuplicate {
		p.Problem = fmt.Sprintf(t.what, first)
	}
	return p
}
