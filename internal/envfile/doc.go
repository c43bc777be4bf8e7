// Package envfile reads .env files without ever guessing a value.
//
// There is no standard for .env files. The same line means one thing to
// Compose, another to godotenv, and a third to a shell: "pa$SWORD1!" in double
// quotes is pa! to Compose, as a variable named SWORD1 is not set. A tool that
// picks one reading stores a wrong password and says nothing. This package
// reads every assignment three times and compares:
//
//   - as written: the literal reading, this package's own. Quotes are removed,
//     the five escapes that Compose and godotenv agree on are decoded inside
//     double quotes, and $ means $.
//   - as Compose reads it, by compose-go's own parser, without the environment
//     of the host.
//   - as godotenv 1.5.1 reads it, by godotenv itself.
//
// # The rule
//
// A key is accepted exactly where the literal reading and Compose's agree.
// Where they differ it is refused with file, line, the two kinds of reading,
// and what to do; Options.Literal and Options.AsCompose settle it key by key.
// Where godotenv alone reads otherwise the key is accepted and Entry.Note says
// so. docs/adr/0004-reading-env-files.md says why, docs/ENV_FILES.md shows
// what each reader makes of close to two hundred inputs.
//
// # What is promised
//
// Problems are isolated: a bad line hides neither the entries nor the problems
// of other lines. A key has an entry or a problem, never both. No problem
// holds a value or any part of the file, except the key where it is a legal
// name; errors of the parsers are replaced, never passed on, and what
// compose-go would log is never logged. A panic of a parser costs its key
// alone. The time is linear in the size of the input; what would make
// compose-go slow is refused without asking it.
//
// # What is not
//
// Compose also expands from the environment of the shell it was started in.
// That reading differs from machine to machine and is not looked at: a value
// with an expansion in it differs from the literal one anyway. A name without
// a value, which Compose takes from that environment, is a problem.
//
// Format writes a line that every reader takes to be the same bytes, and
// CommentOut takes keys out of a file and leaves the rest byte for byte.
package envfile
