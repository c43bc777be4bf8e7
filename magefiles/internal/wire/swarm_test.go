package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/versions"
)

func TestAlone_RefusesASecondTarget(t *testing.T) {
	for line, positionals := range map[string]int{
		"":                                      0,
		"secrets:toSwarm":                       0,
		"secrets:toSwarm -from=prod -dryRun":    0,
		"-v -t 5m secrets:toSwarm":              0,
		"-t=5m secrets:toSwarm -from=a":         0,
		"--t 5m secrets:toSwarm":                0,
		"deploy:remove shop -dryRun":            1,
		"-t 5m deploy:remove shop":              1,
		"-test.v=true -test.run=X -test.count=": 0,
	} {
		if err := alone(strings.Fields(line), positionals); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	for line, positionals := range map[string]int{
		"secrets:toSwarm secrets:list":            0,
		"secrets:toSwarm -from=prod stray":        0,
		"stack:up secrets:toSwarm -from=prod":     0,
		"secrets:toSwarm -from prod":              0,
		"-t 5m secrets:toSwarm secrets:toSwarm":   0,
		"-v secrets:list -json secrets:toSwarm":   0,
		"deploy:remove shop other":                1,
		"secrets:toSwarm -t 5m -from=prod":        0, // after the target, -t is no flag of mage's
		"deploy:remove shop -dryRun secrets:list": 1,
	} {
		if err := alone(strings.Fields(line), positionals); fault.CodeOf(err) != fault.Usage {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestMisused_RefusesBeforeAnythingIsOpened(t *testing.T) {
	type target = Target[versions.AgeResult]
	one, two := []string{"secrets:where", "TOKEN"}, []string{"secrets:toSwarm", "secrets:list"}
	for name, test := range map[string]struct {
		target target
		args   []string
		words  string // "": it is not refused
	}{
		"a name":                       {target{Name: "TOKEN"}, one, ""},
		"a flag for a name":            {target{Name: "-json"}, one, "a flag stands where a name is expected"},
		"a question beside another":    {target{}, two, ""},
		"a change beside another":      {target{Alone: true}, two, "must be alone"},
		"a change of a name":           {target{Alone: true, Name: "TOKEN"}, one, ""},
		"a change of a flag":           {target{Alone: true, Name: "-json"}, one, "a flag stands"},
		"a change of a name and other": {target{Alone: true, Name: "TOKEN"}, append(one, "secrets:list"), "must be alone"},
		"an empty name":                {target{Alone: true}, []string{"deploy:remove", ""}, "an argument is empty"},
		"a negative limit":             {target{Limit: -time.Second}, nil, "negative"},
	} {
		err := test.target.misused(test.args)
		if test.words == "" && err != nil || test.words != "" && (fault.CodeOf(err) != fault.Usage || !strings.Contains(err.Error(), test.words)) {
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
}

func TestWithContext_WinsOverTheEnvironment(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://elsewhere:1")
	t.Setenv("DOCKER_CONTEXT", "staging")
	t.Setenv("DOCKER_CONFIG", "/config")
	chosen, own := withContext("prod"), withContext("")
	for name, want := range map[string][2]string{
		"DOCKER_HOST":    {"", "tcp://elsewhere:1"},
		"DOCKER_CONTEXT": {"prod", "staging"},
		"DOCKER_CONFIG":  {"/config", "/config"},
	} {
		with, _ := chosen(name)
		without, _ := own(name)
		if with != want[0] || without != want[1] {
			t.Errorf("%s: %q and %q, want %q", name, with, without, want)
		}
	}
	if _, set := chosen("DOCKER_HOST"); set {
		t.Error("DOCKER_HOST is still set")
	}
}

func TestOverSwarm_HasADeadlineOfItsOwn(t *testing.T) {
	limit := 90 * time.Second
	if got := (OverSwarm{Timeout: &limit}).Limit(Long); got != limit {
		t.Errorf("%s", got)
	}
	if got := (OverSwarm{}).Limit(Long); got != Long {
		t.Errorf("%s", got)
	}
}

func TestWho_IsSomebodySomewhere(t *testing.T) {
	name, host, ok := strings.Cut(who(), "@")
	if !ok || name == "" || host == "" {
		t.Errorf("%q", who())
	}
}
