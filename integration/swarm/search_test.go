//go:build swarm && linux

package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// silent requires that no value of the stage is in what keepmum said, in what the
// Swarm's API says of all services, tasks, secrets, configs and networks, or, with
// logs, in the logs of the stack's services. It first plants a value, and requires
// that it is found.
func (s *stage) silent(logs bool) {
	s.Helper()
	var known []secrets.Known
	for name, value := range s.values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New(value)})
	}
	matcher := redact.New(known)
	if short := matcher.Unmasked(); len(short) > 0 || len(known) == 0 {
		s.Fatalf("not searched: %q of %d values", short, len(known))
	}
	for _, k := range known {
		planted := append([]byte("canary "), k.Value.Reveal()...)
		if len(matcher.Find(planted)) == 0 {
			s.Fatal("the canary was not found: the search cannot fail")
		}
	}
	ctx, cancel := s.context()
	defer cancel()
	surfaces, err := s.surfaces(ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.mu.Lock()
	surfaces["what keepmum said"] = bytes.Clone(s.output.Bytes())
	s.mu.Unlock()
	if logs {
		surfaces["logs"] = s.logs(ctx)
	}
	for name, text := range surfaces {
		if len(text) == 0 && name != "logs" {
			s.Errorf("nothing was read of %s", name)
		}
		for _, hit := range matcher.Find(text) {
			s.Errorf("%s shows the value of %s (%s)", name, hit.Name, hit.Encoding)
		}
	}
}

// surfaces are what the API says of everything of the Swarm.
func (s *stage) surfaces(ctx context.Context) (map[string][]byte, error) {
	c := s.node.Client()
	all := map[string][]byte{}
	var failed error
	keep := func(name string, value any, err error) {
		if err == nil {
			all[name], err = json.Marshal(value)
		}
		if err != nil {
			failed = err
		}
	}
	services, err := c.ServiceList(ctx, swarmapi.ServiceListOptions{Status: true})
	keep("services", services, err)
	tasks, err := c.TaskList(ctx, swarmapi.TaskListOptions{})
	keep("tasks", tasks, err)
	versions, err := c.SecretList(ctx, swarmapi.SecretListOptions{})
	keep("secrets", versions, err)
	networks, err := c.NetworkList(ctx, network.ListOptions{})
	keep("networks", networks, err)
	nodes, err := c.NodeList(ctx, swarmapi.NodeListOptions{})
	keep("nodes", nodes, err)
	configs, err := c.ConfigList(ctx, swarmapi.ConfigListOptions{})
	keep("configs", configs, err)
	for _, one := range configs {
		all["configs"] = append(all["configs"], one.Spec.Data...)
	}
	return all, failed
}

// logs are those of all tasks of the stack's services.
func (s *stage) logs(ctx context.Context) []byte {
	s.Helper()
	services, err := s.node.Client().ServiceList(ctx, swarmapi.ServiceListOptions{Filters: ofStack(s.stack)})
	if err != nil {
		s.Fatal(err)
	}
	var all bytes.Buffer
	for _, one := range services {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		stream, err := s.node.Client().ServiceLogs(limited, one.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
		if err == nil {
			_, err = stdcopy.StdCopy(&all, &all, io.NopCloser(stream))
			_ = stream.Close()
		}
		cancel()
		if err != nil && !strings.Contains(err.Error(), "incomplete log stream") && limited.Err() == nil { // of tasks that are gone
			s.Fatal(err)
		}
	}
	return all.Bytes()
}
