// Package manifest reads the compose file as keepmum's manifest: which secrets
// a project has, which rules their values keep, and which service is granted
// which secret. It is pure: bytes go in, a [Manifest] and all findings come out.
// It opens no file, reads no environment variable and has no clock.
//
// # Reading
//
// [Parse] reads one compose file and reports everything that is wrong with it
// at once. Two readers see the same bytes: the YAML nodes give file and line,
// compose-go gives the meaning that Docker Compose will see (long and short
// syntax, interpolation, defaults, extends), as [Manifest.Model]. compose-go gets
// the bytes and what [Options.Lookup] says; it follows no include, no env_file
// and no extends of another file. Its log is turned off for the whole process,
// because it quotes the file and goes to the process-wide logger of logrus.
//
// The manifest is never nil: with findings it holds what could be read. A caller
// that starts something stops at the first finding.
//
// # Findings
//
// A [fault.Finding] has file, line, subject, problem and the next edit or
// command. A compose file can contain a value by mistake, so no finding quotes
// the right-hand side of anything: errors of compose-go and of the YAML reader
// are replaced by a position and words of this package. Names, keys and patterns
// are quoted; they are not values.
//
// # Rules
//
// A [Declaration] is one entry of the top-level secrets: with the rules of its
// x-keepmum. [Declaration.Check] checks a value against them,
// [Declaration.Normalise] applies the newline policy when a value is stored,
// [Declaration.NewValue] makes a value by the generate rule, and
// [Declaration.Example] returns the text of NAME.example, which Check refuses.
//
// # A Swarm file
//
// With [Options.Swarm] the file is docker-compose.swarm.yml or anybody's stack
// file. Secrets exist in the Swarm: external: true means the newest version of
// the stack's secret, name: beside it a secret that somebody else manages, and
// file: or environment: declares a secret whose value is not read from there.
// Their names follow Docker's rule. uid, gid, mode and target of a grant count;
// x-keepmum has the one key from; a top-level name: is a finding, and so is a
// variable without which Compose refuses the file. [Manifest.LineOf] gives the
// line of anything for findings of later stages.
//
// # Ignore files
//
// [Manifest.CheckGitignore] and [Manifest.CheckDockerignore] find what version
// control or a build context would take although it may hold a value.
package manifest
