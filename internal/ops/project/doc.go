// Package project is what every use case starts from: the directory of the
// compose file, the values in secrets/, the project's key, and what is read of
// them at the start of a command.
//
// A command reads each thing once. [Project.Load] reads and parses the compose
// file, with the variables that it interpolates; [SecretStore.Snapshot] reads
// all values under the writers' lock. What a use case then decides is decided
// over that one state, whatever another command does meanwhile.
//
// [Freshness] is the one word for whether a running service holds the values
// that are in secrets/ now.
package project
