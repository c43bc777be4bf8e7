// Package convert turns a Swarm file into what a Swarm runs. It is pure: a
// [manifest.Manifest] read with manifest.Options.Swarm goes in; [Convert] gives
// the [docker.StackSpec] in the engine's own JSON, and [Render] gives the file
// that plain docker stack deploy takes. It talks to no engine, and reads files
// and variables only through its options.
//
// # No field is dropped
//
// The table of [rules] has every field that compose-go knows. A field is used,
// or it is refused with a finding at its line because a Swarm cannot do it and
// leaving it out would change what runs, or it has a notice because it concerns
// only another way of running. A test walks compose-go's types and fails for a
// field that the table does not have; another sets each used field and fails if
// the specification stays the same and nothing is said.
//
// # As the docker command converts
//
// Names, labels, default network, aliases and order are those of docker stack
// deploy, so that docker stack ls, services, ps and rm work on the result, and so
// that taking over from that command restarts nothing. Where its conversion
// would surprise the user, this one differs; every difference is a row of the
// table in stackoracle, which holds both against each other.
//
// # Secrets and configs
//
// References carry the names as they are declared and no ids. The rollout binds
// them to versions. A config that is external is named as in the Swarm.
package convert
