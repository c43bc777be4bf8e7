package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

func TestAgain_NamesTheSameStackFileAndSwarm(t *testing.T) {
	stack, file, where := "odds", "ops/swarm.yml", "prod"
	all := OverSwarm{Stack: &stack, File: &file, Context: &where}
	for hint, want := range map[string]string{
		"mage deploy:plan":                                       "mage deploy:plan -stack=odds -file=ops/swarm.yml -context=prod",
		"change them, then mage deploy:plan":                     "change them, then mage deploy:plan -stack=odds -file=ops/swarm.yml -context=prod",
		"mage deploy:swarm -adopt -prune":                        "mage deploy:swarm -stack=odds -file=ops/swarm.yml -context=prod -adopt -prune",
		"mage deploy:rollback odds undoes it":                    "mage deploy:rollback odds -context=prod undoes it",
		"mage deploy:status, then mage deploy:rollback odds":     "mage deploy:status -stack=odds -file=ops/swarm.yml -context=prod, then mage deploy:rollback odds -context=prod",
		"mage secrets:toSwarm -stack=other -from=DIR":            "mage secrets:toSwarm -file=ops/swarm.yml -context=prod -stack=other -from=DIR",
		"mage secrets:toSwarm -from=DIR":                         "mage secrets:toSwarm -stack=odds -file=ops/swarm.yml -context=prod -from=DIR",
		"look at the plan (mage deploy:plan -adopt), or another": "look at the plan (mage deploy:plan -stack=odds -file=ops/swarm.yml -context=prod -adopt), or another",
		"mage secrets:where TOKEN":                               "mage secrets:where TOKEN -stack=odds -context=prod",
		"mage secrets:whereService api":                          "mage secrets:whereService api -stack=odds -context=prod",
		"mage secrets:set TOKEN":                                 "mage secrets:set TOKEN",
		"docker service ps SERVICE":                              "docker service ps SERVICE",
		"":                                                       "",
	} {
		got := all.again(hint)
		if got != want {
			t.Errorf("%q: %q, want %q", hint, got, want)
		}
		if twice := all.again(got); twice != got {
			t.Errorf("%q: the second time %q", hint, twice)
		}
		if got := (OverSwarm{}).again(hint); got != hint {
			t.Errorf("without flags: %q", got)
		}
	}
	odd := "a b's"
	if got := (OverSwarm{File: &odd}).again("mage deploy:plan"); got != `mage deploy:plan -file='a b'\''s'` {
		t.Errorf("%q", got)
	}
}

func TestComplete_ReachesEveryHintOfAnError(t *testing.T) {
	stack := "odds"
	one := &fault.Error{What: "one", Next: "mage deploy:plan", Findings: []fault.Finding{{Next: "mage deploy:status"}}}
	two := &fault.Error{What: "two", Next: "mage deploy:swarm"}
	over := OverSwarm{Stack: &stack}
	over.complete(nil)
	over.complete(errors.New("plain"))
	over.complete(errors.Join(fmt.Errorf("around: %w", one), two))
	if one.Next != "mage deploy:plan -stack=odds" || one.Findings[0].Next != "mage deploy:status -stack=odds" || two.Next != "mage deploy:swarm -stack=odds" {
		t.Errorf("%+v %+v", one, two)
	}
}

func TestTarget_PrintsHintsWithTheFlagsThatWereGiven(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	stack := "blue"
	frame := Target[int]{Limit: Short, ReadOnly: true, Over: OverSwarm{Stack: &stack}}
	targettest.Run(t, "", func(ctx context.Context) error {
		return frame.Run(ctx, func(context.Context, *Tools) (int, error) {
			return 0, &fault.Error{Code: fault.Pending, What: "1 change due", Next: "mage deploy:swarm"}
		})
	}).Want(t, 7, "1 change due", "next: mage deploy:swarm -stack=blue")
}
