//go:build swarm && linux

package swarm

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/integration/swarmlab"
	"github.com/keepmum/keepmum/internal/docker"
)

// rounds is how often each side of a comparison is measured.
const rounds = 7

// sides compares keepmum with what it is to replace: both once in each round, in
// alternating order, and the medians reported, with the ratios of the rounds.
func sides(b *testing.B, peer string, ours, theirs func(round int) time.Duration) {
	b.Helper()
	var mine, others, ratios []float64
	for round := range rounds {
		var a, p time.Duration
		if round%2 == 0 {
			a, p = ours(round), theirs(round)
		} else {
			p, a = theirs(round), ours(round)
		}
		b.Logf("round %d: keepmum %.2f s, %s %.2f s", round+1, a.Seconds(), peer, p.Seconds())
		mine, others, ratios = append(mine, a.Seconds()), append(others, p.Seconds()), append(ratios, a.Seconds()/p.Seconds())
	}
	for _, figures := range [][]float64{mine, others, ratios} {
		slices.Sort(figures)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mine[rounds/2], "s-keepmum")
	b.ReportMetric(others[rounds/2], "s-"+peer)
	b.ReportMetric(ratios[rounds/2], "ratio")
	b.ReportMetric(ratios[0], "ratio-min")
	b.ReportMetric(ratios[rounds-1], "ratio-max")
}

// BenchmarkDeploy compares deploy:swarm with docker stack deploy of the same
// stack, rendered, on the same engine: from nothing until all runs (docker does not
// ask the registries), and with nothing to change (it does, as keepmum always does,
// and it does not).
func BenchmarkDeploy(b *testing.B) {
	b.Run("reference", func(b *testing.B) {
		lab := swarmlab.Up(b, swarmlab.Options{Managers: 1})
		s := newProduction(b, lab)
		s.compare(b, func() *stage {
			return &stage{TB: s.TB, lab: s.lab, node: s.node, host: s.host, dir: s.dir, env: s.env, values: s.values, begun: s.begun}
		})
	})
	b.Run("plain", func(b *testing.B) {
		lab := swarmlab.Up(b, swarmlab.Options{Managers: 1})
		lab.LoadHelper(b)
		one := func(name string) *stage {
			s := newStage(b, lab, name)
			setup, api := strings.Index(s.text, "  setup:"), strings.Index(s.text, "  api:")
			s.text = s.text[:setup] + s.text[api:]
			s.file(apiWaits, "")
			manifest := strings.ReplaceAll(projectFile, "NAME", s.stack)
			s.put("docker-compose.yml", strings.Replace(manifest, "  setup: {image: keepmum-lab/helper:1, secrets: [LOGIN]}\n", "", 1))
			return s
		}
		(&scenario{stage: one("mine")}).compare(b, func() *stage { return one("theirs") })
	})
}

// compare measures both deployments of a stack.
func (s *scenario) compare(b *testing.B, copied func() *stage) {
	s.must(0, "secrets:init")
	s.must(0, "secrets:toSwarm", "-from=prod")
	peer := copied()
	peer.stack = s.stack + "-docker"
	peer.env = append(slices.Clone(s.env), "KEEPMUM_STACK="+peer.stack)
	if peer.dir != s.dir {
		peer.must(0, "secrets:init")
	}
	peer.must(0, "secrets:toSwarm", "-from=prod", "-stack="+peer.stack)
	peer.put("rendered.yml", peer.must(0, "deploy:render", "-stack="+peer.stack).stdout)
	size := 0
	b.Run("new", func(b *testing.B) {
		sides(b, "docker", func(int) time.Duration {
			took := s.must(0, "deploy:swarm").took
			size = len(s.tasks())
			s.gone()
			return took
		}, func(int) time.Duration {
			begun := time.Now()
			peer.stackDeploy()
			peer.runs(size)
			took := time.Since(begun)
			peer.gone()
			return took
		})
	})
	s.must(0, "deploy:swarm")
	peer.stackDeploy()
	peer.runs(len(s.tasks()))
	for name, flag := range map[string]string{"unchanged": "", "unchanged-without-registry": "--resolve-image never "} {
		b.Run(name, func(b *testing.B) {
			sides(b, "docker", func(int) time.Duration {
				r := s.must(0, "deploy:swarm")
				r.is(s.stage, 0, "nothing to change")
				return r.took
			}, func(int) time.Duration {
				begun := time.Now()
				peer.shell("docker stack deploy " + flag + "-c rendered.yml " + peer.stack)
				return time.Since(begun)
			})
		})
	}
	s.gone()
	peer.gone()
}

// stackDeploy runs docker stack deploy, without asking registries.
func (s *stage) stackDeploy() {
	s.Helper()
	s.shell("docker stack deploy --resolve-image never -c rendered.yml " + s.stack)
}

// runs waits until so many tasks of the stack run or have completed.
func (s *stage) runs(tasks int) {
	s.Helper()
	s.poll("the stack to run", func(ctx context.Context) error {
		all, err := s.node.Client().TaskList(ctx, swarmapi.TaskListOptions{Filters: ofStack(s.stack)})
		if err != nil {
			return err
		}
		count, others := 0, ""
		for _, one := range all {
			switch one.Status.State {
			case swarmapi.TaskStateRunning, swarmapi.TaskStateComplete:
				count++
			default:
				others += fmt.Sprintf("; %s %s %s", one.Spec.ContainerSpec.Image, one.Status.State, one.Status.Err)
			}
		}
		if count < tasks {
			return fmt.Errorf("%d of %d tasks%s", count, tasks, others)
		}
		return nil
	})
}

// gone removes the stack's services and networks, and waits until nothing is left
// of them. Its versions stay.
func (s *stage) gone() {
	s.Helper()
	s.shell("docker stack rm " + s.stack)
	s.poll("the end of the stack", func(ctx context.Context) error {
		tasks, err := s.node.Client().TaskList(ctx, swarmapi.TaskListOptions{Filters: ofStack(s.stack)})
		if err != nil || len(tasks) > 0 {
			return fmt.Errorf("%d tasks: %w", len(tasks), err)
		}
		networks, err := s.node.Client().NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", docker.LabelNamespace+"="+s.stack))})
		if err != nil || len(networks) > 0 {
			return fmt.Errorf("%d networks: %w", len(networks), err)
		}
		return nil
	})
}

// BenchmarkSecrets compares secrets:toSwarm of 200 values with creating as many
// secrets by the API, one after the other over one connection, and with a loop of
// docker secret create. All are removed after each round.
func BenchmarkSecrets(b *testing.B) {
	const count = 200
	lab := swarmlab.Up(b, swarmlab.Options{Managers: 1})
	s := newStage(b, lab, "many")
	var names, grants, declared, external []string
	for i := range count {
		name := fmt.Sprintf("SECRET_%03d", i)
		names, grants = append(names, name), append(grants, name)
		declared = append(declared, fmt.Sprintf("  %s: {file: ./secrets/%s}\n", name, name))
		external = append(external, fmt.Sprintf("  %s: {external: true}\n", name))
		s.put("many/"+name, rand.Text())
	}
	service := "services:\n  api: {image: keepmum-lab/helper:1, secrets: [" + strings.Join(grants, ", ") + "]}\nsecrets:\n"
	s.put("docker-compose.yml", "name: "+s.stack+"\n"+service+strings.Join(declared, ""))
	s.put("docker-compose.swarm.yml", service+strings.Join(external, ""))
	s.put("many/.environment", "production\n")
	s.must(0, "secrets:init")
	ours := func(int) time.Duration {
		r := s.must(0, "secrets:toSwarm", "-from=many")
		s.noSecrets(count)
		return r.took
	}
	b.Run("api", func(b *testing.B) {
		sides(b, "api", ours, func(int) time.Duration {
			begun := time.Now()
			for _, name := range names {
				data, err := os.ReadFile(s.path("many/" + name))
				if err == nil {
					_, err = s.node.Client().SecretCreate(b.Context(), swarmapi.SecretSpec{Annotations: swarmapi.Annotations{Name: name}, Data: data})
				}
				if err != nil {
					b.Fatal("creating a secret: the engine said no")
				}
			}
			took := time.Since(begun)
			s.noSecrets(count)
			return took
		})
	})
	b.Run("cli", func(b *testing.B) {
		s.put("loop.sh", "set -e\ncd many\nfor name in SECRET_*; do docker secret create $name $name >/dev/null; done\n")
		sides(b, "cli", ours, func(int) time.Duration {
			begun := time.Now()
			s.shell("sh loop.sh")
			took := time.Since(begun)
			s.noSecrets(count)
			return took
		})
	})
}

// noSecrets removes all secrets, of which there must be so many, and the stack's
// record.
func (s *stage) noSecrets(count int) {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	all, err := s.node.Client().SecretList(ctx, swarmapi.SecretListOptions{})
	if err != nil || len(all) != count {
		s.Fatalf("%d secrets, want %d: %v", len(all), count, err)
	}
	for _, one := range all {
		if err := s.node.Client().SecretRemove(ctx, one.ID); err != nil {
			s.Fatal(err)
		}
	}
	records, err := s.node.Client().ConfigList(ctx, swarmapi.ConfigListOptions{})
	for _, one := range records {
		if err == nil {
			err = s.node.Client().ConfigRemove(ctx, one.ID)
		}
	}
	if err != nil {
		s.Fatal(err)
	}
}
