package swarm

// situation is something bad that can happen to a deployment.
type situation struct {
	name     string // of its subtest; part of the stack's name
	happened string // as docs/FAILURES.md says it
}

// situations are the rows of docs/FAILURES.md, in order.
var situations = []situation{
	// What is known before the first change.
	{"no_swarm", "the engine is in no Swarm"},
	{"worker", "the engine is a worker"},
	{"image_nowhere", "an image that neither a registry nor the engine has"},
	{"no_node", "no node satisfies a constraint"},
	{"too_much_memory", "a reservation that no node offers"},
	{"host_port", "a port in host mode, updated start-first"},
	{"local_volume", "a local volume without a constraint, on three nodes"},
	{"outage", "a change that costs an outage"},
	{"foreign_stack", "the stack was made by docker stack deploy"},
	{"version_missing", "a secret was removed by hand"},
	{"long_name", "a version's name would have 65 characters"},
	{"sizes", "values of 0, 511,999 and 512,000 bytes"},
	{"tcp", "values to an engine by tcp:// without TLS"},
	{"quorum_before", "two of three managers are down before a deployment"},
	// What fails on the way.
	{"never_healthy", "a service never becomes healthy"},
	{"crash_loop", "a service crashes after its start, and prints its secrets"},
	{"hang", "a service hangs at its start"},
	{"image_somewhere", "an image that only some nodes have"},
	{"one_shot", "a one-shot fails"},
	{"memory", "a service needs more memory than its limit"},
	{"first_deploy", "the first deployment of a stack fails"},
	{"deadline", "the deadline passes"},
	{"removed", "a service is removed by hand"},
	{"version_in_use", "somebody removes a version that is in use"},
	// Somebody else, and the lock.
	{"two_at_once", "two deployments at once"},
	{"sequence", "somebody else updates a service before its turn"},
	{"changed_meanwhile", "somebody else updates a service that is converging"},
	// The command is stopped.
	{"sigkill_create", "SIGKILL after each step of a first deployment"},
	{"sigkill_update", "SIGKILL after each step of an update, and a rollback after it"},
	{"sigterm", "SIGTERM after each step, and a rollback after it"},
	{"sigint", "SIGINT after each step, and a rollback after it"},
	{"sigint_waiting", "SIGINT while the lock is somebody else's"},
	// Nodes.
	{"power", "a node with tasks loses power during a deployment"},
	{"leader_link", "the leader loses its link during a deployment"},
	{"quorum_during", "two of three managers lose power during a deployment"},
}
