//go:build swarm && linux

package swarm

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/integration/swarmlab"
)

// shared are the situations of one Swarm, whose nodes all stay.
func shared() tests {
	return tests{
		"no_swarm": notAManager(5, "is not in a Swarm", "docker swarm init"),
		"worker":   notAManager(4, "is a worker of its Swarm", "DOCKER_HOST"),
		"image_nowhere": refusal{parts: []string{helper, "    image: keepmum-lab/helper:none\n"}, next: "docker push it",
			words: []string{"the image keepmum-lab/helper:none is in no registry that answers, and not on the connected engine"}}.test,
		"no_node": refusal{parts: []string{apiDeploy, apiDeploy + "      placement: {constraints: [node.labels.disk == fast]}\n"}, leads: labelled,
			next: "docker node update --label-add disk=fast NODE", words: []string{"no node satisfies node.labels.disk == fast"}}.test,
		"too_much_memory": refusal{parts: []string{"limits: {memory: 64M}", "limits: {memory: 4000G}, reservations: {memory: 4000G}"},
			next: "deploy.resources.reservations", words: []string{"reserves more CPU or memory than any node that may run it has"}}.test,
		"host_port": refusal{parts: []string{apiLogin, apiLogin + "\n    ports: [{target: 8080, published: 8080, mode: host}]"}, next: "stop-first",
			words: []string{"publishes port 8080 in host mode and updates start-first"}}.test,
		"local_volume": refusal{parts: []string{dbLogin, "\n    secrets: [LOGIN]\n    volumes: [data:/data]\n    networks", "\nnetworks:\n", "\nvolumes: {data: {}}\nnetworks:\n"},
			next: "docker node update --label-add", words: []string{"has the local volume", "on another one it would start empty"}}.test,
		"outage":            outage,
		"foreign_stack":     foreignStack,
		"version_missing":   versionMissing,
		"long_name":         longName,
		"sizes":             sizes,
		"tcp":               plainTCP,
		"version_in_use":    versionInUse,
		"never_healthy":     broken{parts: []string{apiStart, `SERVE_VERSION: "2", SERVE_UNHEALTHY: "true"}` + apiLogin}, words: []string{"_api: health"}}.test,
		"hang":              broken{parts: []string{apiStart, `SERVE_VERSION: "2", SERVE_LISTEN_AFTER: 1h}` + apiLogin}, words: []string{"_api: health"}}.test,
		"memory":            broken{parts: []string{apiStart, `SERVE_VERSION: "2", SERVE_FILL: "80000000"}` + apiLogin}, words: []string{"_api: out of memory"}}.test,
		"crash_loop":        crashLoop,
		"image_somewhere":   imageSomewhere,
		"one_shot":          oneShot,
		"first_deploy":      firstDeploy,
		"deadline":          deadline,
		"removed":           removed,
		"two_at_once":       twoAtOnce,
		"sequence":          sequence,
		"changed_meanwhile": changedMeanwhile,
		"sigkill_create":    interruption{signal: syscall.SIGKILL, create: true}.test,
		"sigkill_update":    interruption{signal: syscall.SIGKILL, update: true}.test,
		"sigterm":           interruption{signal: syscall.SIGTERM, create: true, update: true}.test,
		"sigint":            interruption{signal: syscall.SIGINT, create: true, update: true}.test,
		"sigint_waiting":    interruptedWaiting,
	}
}

// TestFaults runs the situations in which no node fails, side by side, on a Swarm
// of three managers (nodes 1 to 3) and a worker (4), and an engine that is in no
// Swarm (5).
func TestFaults(t *testing.T) {
	lab := swarmlab.Up(t, swarmlab.Options{Managers: 3, Workers: 1, Alone: 1})
	lab.LoadHelper(t)
	shared().run(t, lab, true)
}

// broken is a stage whose change fails on the way: the parts of the stack file
// that make it, and words of the failure.
type broken struct {
	parts []string
	words []string
}

func (f broken) test(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	whole, before := s.text, s.look()
	s.file(f.parts...)
	r := s.run("deploy:swarm")
	well := s.rolledBack(r, before, f.words...)
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, back, well, led)
}

// crashLoop prints every secret that it has, in every encoding, and ends.
func crashLoop(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	whole, before := s.text, s.look()
	api := strings.LastIndex(s.text, "    command: [serve]")
	s.text = s.text[:api] + "    command: [print]" + s.text[api+len("    command: [serve]"):]
	s.file(apiStart, `CANARY: "{TOKEN}"}`+apiLogin)
	r := s.run("deploy:swarm")
	well := s.rolledBack(r, before, "its program ended with 0", "log withheld: the value of "+s.stack+"_LOGIN.v1, "+s.stack+"_TOKEN.v1 is not known here", "use -showLogs")
	shown := s.run("deploy:swarm", "-from=prod")
	s.rolledBack(shown, before, "its program ended with 0", "_api | a canary, raw: ")
	led := s.follow(r, 7)
	s.silent(false)
	s.printed()
	led += ", with -from=prod the log, masked; " + s.repaired(whole)
	return s.row(r, back, well, led)
}

// printed requires that the value that a service printed is found in its log:
// there the search can fail.
func (s *stage) printed() {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	if !strings.Contains(string(s.logs(ctx)), string(s.values["TOKEN"])) {
		s.Error("the service printed a value, and it is not found in its log")
	}
}

func imageSomewhere(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	ctx, cancel := s.context()
	defer cancel()
	if err := s.node.Client().ImageTag(ctx, swarmlab.HelperImage, "keepmum-lab/only-here:1"); err != nil {
		t.Fatal(err)
	}
	s.pinAPI("n2")
	s.deployed()
	whole, before := s.text, s.look()
	api := strings.LastIndex(s.text, helper)
	s.text = s.text[:api] + "    image: keepmum-lab/only-here:1\n" + s.text[api+len(helper):]
	s.file()
	r := s.run("deploy:swarm")
	well := s.rolledBack(r, before, "_api: pull", "No such image")
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, back, well, led)
}

// pinAPI keeps api on one node.
func (s *stage) pinAPI(node string) {
	api := strings.LastIndex(s.text, "    deploy:\n") + len("    deploy:\n")
	s.text = s.text[:api] + "      placement: {constraints: [node.hostname == " + node + "]}\n" + s.text[api:]
	s.file()
}

func oneShot(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	whole, before := s.text, s.look()
	s.file(setupEnd, `SERVE_EXIT_CODE: "7"`, apiStart, strings.Replace(apiStart, `"1"`, `"2"`, 1))
	r := s.run("deploy:swarm")
	well := s.rolledBack(r, before, "_setup: crash", "non-zero exit (7)")
	if strings.Contains(r.stderr, "update service "+s.stack+"_api") {
		t.Errorf("api was touched, although it waits for setup: %s", r)
	}
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, back, well, led)
}

func firstDeploy(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.prepared()
	before, whole := s.look(), s.text
	s.file(apiStart, `SERVE_VERSION: "2", SERVE_CRASH_AFTER: 10ms}`+apiLogin)
	r := s.run("deploy:swarm")
	r.is(s, 5, "_api: crash", "these stay: network "+s.stack+"_inner")
	s.as(before, false)
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, "no service is left; the network and the versions stay; no lock", 0, led)
}

func deadline(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	whole, before := s.text, s.look()
	s.file("retries: 3, start_period: 4s", "retries: 3, start_period: 10m", apiStart, `SERVE_VERSION: "2", SERVE_UNHEALTHY: "true"}`+apiLogin)
	r := s.run("deploy:swarm", "-timeout=5s", "-allowOutage")
	well := s.rolledBack(r, before, "not converged in time", "not healthy yet")
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, back, well, led)
}

func removed(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	whole := s.text
	s.shell("docker service rm " + s.stack + "_db")
	status := s.must(0, "deploy:status")
	status.is(s, 0, "differs from the file: create service "+s.stack+"_db")
	s.file(apiStart, `SERVE_VERSION: "2", SERVE_UNHEALTHY: "true"}`+apiLogin)
	running := s.start("deploy:swarm")
	running.until(s.stack + "_db: ") // the deployment has just made it, and watches it
	s.shell("docker service rm " + s.stack + "_db")
	r := running.end()
	r.is(s, 5, s.stack+"_db was removed by somebody else")
	if got := s.look(); got.services["db"] != "" || got.lock || got.services["api"] == "" {
		t.Errorf("%+v", got)
	}
	led := s.follow(r, 7) + ", " + s.repaired(whole)
	s.silent(true)
	return s.row(r, "what was touched is as before the deployment; no lock", 0, led)
}

func twoAtOnce(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	s.file(apiStart, strings.Replace(apiStart, `"1"`, `"2"`, 1), dbStart, `SERVE_VERSION: "2"}`+dbLogin)
	first := s.start("deploy:swarm", "-allowOutage")
	first.until("update service " + s.stack + "_db")
	second := s.start("deploy:swarm", "-allowOutage")
	second.until("stack " + s.stack + " is locked by ")
	won := first.end()
	won.is(s, 0, "deployed")
	r := second.end()
	r.is(s, 0, "is locked by", "(deploy)", "nothing to change")
	s.well(s.begun)
	s.unlocked()
	s.silent(true)
	one := s.row(r, "the second waited for the lock, planned again and found nothing to change; no lock", 0, "nothing is left to do")
	one.said, _, _ = strings.Cut(s.words(r.stderr), ";")
	one.code = "0 and 0"
	return one
}

func sequence(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	before := s.look()
	s.file(apiStart, strings.Replace(apiStart, `"1"`, `"2"`, 1), dbStart, `SERVE_VERSION: "2"}`+dbLogin)
	running := s.start("deploy:swarm", "-allowOutage")
	running.until("update service " + s.stack + "_db")
	s.change("api", func(spec *swarmapi.ServiceSpec) { spec.Labels["changed.by"] = "somebody" })
	r := running.end()
	r.is(s, 5, s.stack+"_api was changed by somebody else while the plan was carried out")
	if now := s.look(); now.services["db"] != before.services["db"] || now.lock || !strings.Contains(now.services["api"], "changed.by") {
		t.Errorf("%+v", now)
	}
	well := s.well(time.Now().Add(-r.took))
	led := s.follow(r, 7)
	got := s.must(0, "deploy:swarm", "-allowOutage")
	s.silent(true)
	return s.row(r, "what keepmum touched is as before; what somebody else changed stays changed; no lock", well, led+fmt.Sprintf(", which shows both changes; `mage deploy:swarm -allowOutage` (%d)", got.code))
}

func changedMeanwhile(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	before := s.look()
	s.file(apiStart, strings.Replace(apiStart, `"1"`, `"2"`, 1))
	running := s.start("deploy:swarm")
	running.until("update service " + s.stack + "_api")
	running.until(s.stack + "_api: ")
	s.change("api", func(spec *swarmapi.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "CHANGED=by-somebody")
	})
	r := running.end()
	r.is(s, 6, "_api: changed", "_api was changed by somebody else meanwhile, and is left as it is now", "not put back")
	well := s.well(time.Now().Add(-r.took))
	if now := s.look(); now.services["db"] != before.services["db"] || now.lock || !strings.Contains(now.services["api"], "CHANGED=by-somebody") {
		t.Errorf("%+v", now)
	}
	led := s.follow(r, 7)
	got := s.must(0, "deploy:swarm")
	s.silent(true)
	return s.row(r, "what somebody else changed stays as they left it; no lock", well, led+fmt.Sprintf(", `mage deploy:swarm` (%d)", got.code))
}
