package docker

import "strings"

// Labels that keepmum sets.
const (
	// LabelBuild is on an image that keepmum built: the digest of everything
	// else in it, or of what it was built from. Images with equal digests are
	// equal.
	LabelBuild = "io.keepmum.build"
	// LabelPackages is on keepmum's Postgres: its Debian packages, NAME=VERSION,
	// separated by blanks.
	LabelPackages = "io.keepmum.packages"
	// LabelGrants is on a service: the keyed digest of its grants, because
	// Compose's own hash does not cover the content of secret files.
	LabelGrants = "io.keepmum.grants"
	// LabelProbe is on the containers of probes, so that one that a crash of
	// keepmum left behind can be found.
	LabelProbe = "io.keepmum.probe"
)

// Labels that Compose sets.
const (
	LabelProject = "com.docker.compose.project" // on everything of a project
	LabelService = "com.docker.compose.service" // on a service's containers
	LabelOneOff  = "com.docker.compose.oneoff"  // "True" on those of docker compose run
)

// Labels that keepmum sets in a Swarm. Versions, lock and record never carry
// [LabelNamespace], because docker stack rm removes whatever does.
const (
	LabelStack       = "io.keepmum.stack"       // on everything of a stack that keepmum makes
	LabelSecret      = "io.keepmum.secret"      // on a version: the secret's declared name
	LabelConfig      = "io.keepmum.config"      // on a version of a config: its declared name
	LabelVersion     = "io.keepmum.version"     // on a version: its number, from 1
	LabelEnvironment = "io.keepmum.environment" // on a version: development, staging, production, …
	LabelFingerprint = "io.keepmum.fingerprint" // on a version: the keyed digest of its value
	LabelBy          = "io.keepmum.by"          // on a version: who made it
	LabelReason      = "io.keepmum.reason"      // on a version: why
	LabelLock        = "io.keepmum.lock"        // on the config that is a stack's lock: its holder
	LabelBeat        = "io.keepmum.beat"        // on the same: counts its holder's heartbeats
	LabelRecord      = "io.keepmum.record"      // on the config that is a stack's record: its number
)

// Labels of the docker command's stacks.
const (
	LabelNamespace  = "com.docker.stack.namespace" // on everything that docker stack rm removes
	LabelStackImage = "com.docker.stack.image"     // on a service: its image as the file names it
)

// Reserved reports whether a label is keepmum's or the docker command's: a file
// cannot set it.
func Reserved(label string) bool {
	return strings.HasPrefix(label, "io.keepmum.") || strings.HasPrefix(label, "com.docker.stack.")
}
