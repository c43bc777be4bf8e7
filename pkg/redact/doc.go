// Package redact masks known values in texts: what a service logs, what a
// command prints, what a program writes into a pipe.
//
//	report, err := secrets.Load(&config)
//	matcher := redact.New(report.Known())
//	out := matcher.Writer(os.Stderr)
//	defer out.Close()
//	slog.SetDefault(slog.New(matcher.Handler(slog.NewJSONHandler(out, nil))))
//
// # What is masked
//
// Each value, raw and in each encoding: base64 of both alphabets, wherever in
// the encoded text the value begins, with and without padding, in one line or
// wrapped at 60, 64 or 76 columns; hex; percent; JSON; HTML; as shells and Go
// quote it; each line of a value of several lines; each string of a value that
// is JSON; the password of a value that is a URL or user:password. Encodings
// names them; ADR 3 lists the forms.
//
// A trailing line break is not part of what is searched. The lines that begin
// and end PEM blocks are not masked on their own.
//
// # Short values
//
// A value of 8 bytes or more is masked wherever it stands. One of 4 to 7 bytes
// is masked, raw and encoded, where it stands alone: where the bytes beside it
// are no letter, digit or underscore. One of 1 to 3 bytes, and one of white
// space alone, is not masked, and Unmasked names it: whoever promises silence
// has to tell of it. Lines, strings and passwords inside of a value are
// searched from 8 bytes on.
//
// # What stands there instead
//
// ‹NAME›, whatever the length. Where occurrences overlap, one mask stands for
// their union; it has the name of the occurrence that begins first, of several
// the longest, of equal ones that of the value that was given first to New.
// Unions that touch each other keep a mask each, if the names differ.
//
// # Streams
//
// A Writer gives the same bytes however the text is cut into writes. It keeps
// back only the longest end of what was written that may still become a value;
// everything else leaves in the same Write. Nothing depends on time. It keeps
// no more than the longest pattern, some kilobytes for the longest values.
//
// # What is not promised
//
// A value that is cut, compressed, encrypted, coloured in the middle, encoded
// twice (but for JSON in JSON) or wrapped at another width is not seen. Masking
// is the last line of defence: a secret that cannot be printed is the first.
package redact
