// Package redact masks known values in text: in the log of a service, the
// output of a command, or the data that a program writes to a pipe.
//
//	report, err := secrets.Load(&config)
//	matcher := redact.New(report.Known())
//	out := matcher.Writer(os.Stderr)
//	defer out.Close()
//	slog.SetDefault(slog.New(matcher.Handler(slog.NewJSONHandler(out, nil))))
//
// # What is masked
//
// Each value, raw and in each encoding: base64 in both alphabets, at any
// alignment, with and without padding, in one line or wrapped at 60, 64 or 76
// columns; hex; percent; JSON; HTML; quoted by shells and Go. In addition each
// line of a multi-line value, each string in a value that is JSON, and the
// password in a value that is a URL or user:password. [Encodings] names the
// encodings; ADR 3 lists the forms.
//
// A trailing line break is not part of the search. The lines that begin and
// end PEM blocks are not masked alone.
//
// # Short values
//
// A value of 8 bytes or more is masked anywhere. One of 4 to 7 bytes is
// masked, raw and encoded, only as a whole word: where no letter, digit or
// underscore is next to it. A value of 1 to 3 bytes, or of white space only, is
// not masked; [Matcher.Unmasked] names it, so that a program that promises to
// mask everything can report it. Lines, strings and passwords inside a value
// are searched from 8 bytes on.
//
// # Masks
//
// The mask is ‹NAME›, whatever the length of the value. Where occurrences
// overlap, one mask replaces their union, with the name of the occurrence that
// begins first; of several, the longest; of equal ones, the value passed to
// [New] first. Adjacent unions keep separate masks if their names differ.
//
// # Streams
//
// The output of a [Writer] does not depend on how the text is split into
// writes. It holds back only the longest suffix that may still become a value
// and passes everything else on in the same Write. Nothing depends on time. It
// holds back at most the longest pattern, a few kilobytes for the longest
// values.
//
// # What is not promised
//
// A value that is truncated, compressed, encrypted, interrupted by colour
// codes, encoded twice (except JSON in JSON) or wrapped at another width is not
// found. Masking is the last line of defence; the first is a secret that cannot
// be printed.
package redact
