// Package manifest reads the compose file as keepmum's manifest: which secrets
// a project has, what rules their values keep, and which service is granted
// which. It is pure: bytes go in, a *Manifest and all findings come out. It
// opens no file, looks at no environment variable and has no clock.
//
// # Reading
//
// Parse reads one compose file and reports everything that is wrong with it at
// once. Two readers look at the same bytes: the YAML nodes give file and line,
// compose-go gives the meaning that Docker Compose will give (long and short
// syntax, interpolation, defaults, extends). compose-go is handed the bytes and
// an explicit environment; it follows no include, no env_file and no
// extends of another file, and its log is turned off, once and for the whole
// process (it writes to the process-wide logger of logrus, and quotes).
//
// A manifest comes back in every case, never nil: with findings it holds what
// could be read. A caller that starts something stops at the first finding.
//
// # What a finding holds
//
// File, line, subject, problem and the next edit or command. A compose file can
// hold a value by mistake, so no finding quotes the right-hand side of
// anything: errors of compose-go and of the YAML reader are replaced by a
// position and words of this package. Names, keys and patterns are quoted;
// they are no values.
//
// # Rules
//
// A Declaration is one entry of the top-level secrets: with the rules of its
// x-keepmum. Check holds a value against them, Normalise applies the newline
// policy once on the way in, NewValue makes a value by the generate rule,
// Example gives the text of NAME.example, which Check refuses.
//
// # Comparing
//
// Compare compares names and grants of two manifests; CompareLegacy compares
// the manifest with the compose file of the old way, which passes values by
// the environment. Coverage looks at the text of .gitignore and .dockerignore.
package manifest
