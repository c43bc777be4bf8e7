package docker

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
