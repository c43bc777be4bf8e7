// Package envfile reads .env files without ever guessing a value.
//
// There is no standard for .env files. The same line means one thing to
// Compose, another to godotenv, and a third to a shell: "pa$SWORD1!" in double
// quotes is pa! to Compose, because a variable named SWORD1 is not set. A tool
// that picks one reading stores a wrong password without a warning. [Parse]
// reads every assignment three times and compares:
//
//   - as written: the literal reading, by this package. Quotes are removed,
//     the five escapes that Compose and godotenv agree on are decoded inside
//     double quotes, and $ means $.
//   - as Compose reads it: by compose-go's parser, without the environment of
//     the host.
//   - as godotenv 1.5.1 reads it: by godotenv itself.
//
// # The rule
//
// A key is accepted if and only if the literal reading and Compose's agree. If
// they differ, it is refused with file, line, the two kinds of reading, and
// what to do; [Options].Literal and [Options].AsCompose resolve it key by key.
// If only godotenv reads something else, the key is accepted and [Entry].Note
// says so. docs/adr/0004-reading-env-files.md says why; docs/ENV_FILES.md shows
// how each reader reads almost two hundred inputs.
//
// # What is promised
//
// Problems are isolated: a bad line hides neither the entries nor the problems
// of other lines. A key has an entry or a problem, never both. No problem
// holds a value or any other part of the file, except the key if it is a legal
// name; errors of the parsers are replaced, never passed on, and log messages
// of compose-go are suppressed. A panic in a parser affects only its key. The
// time is linear in the size of the input; input that would make compose-go
// slow is refused without calling it.
//
// # What is not covered
//
// Compose also expands variables from the environment of the shell that
// started it. That reading differs from machine to machine and is ignored: a
// value with an expansion differs from the literal one anyway. A name without a
// value, which Compose takes from that environment, is a problem.
//
// [CommentOut] removes keys from a file and keeps the rest byte for byte.
package envfile
