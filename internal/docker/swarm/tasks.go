package swarm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// task is a task in the engine's JSON.
type task struct {
	meta
	ServiceID    string
	NodeID       string
	Slot         int
	Spec         json.RawMessage
	DesiredState string
	Status       struct {
		Timestamp           time.Time
		State, Message, Err string
		ContainerStatus     *struct {
			ContainerID string
			ExitCode    int
		}
	}
	JobIteration *struct{ Index uint64 }
}

// Tasks returns the tasks of the services with these ids, also those that are
// over and those of a service that was removed, sorted by name, the newest
// first.
func (s *Swarm) Tasks(ctx context.Context, services ...string) ([]docker.Task, error) {
	if len(services) == 0 {
		return nil, nil // an empty filter would mean all
	}
	list, err := s.tasksOf(ctx, filter("service", services))
	if errors.Is(err, docker.ErrNotFound) {
		list, err = s.tasksOf(ctx, nil) // the engine refuses a filter by a service that was removed
	}
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t docker.Task) bool { return !slices.Contains(services, t.ServiceID) })
	if err := s.name(ctx, list); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b docker.Task) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// TaskLogs copies the log of one task so far, byte for byte; tail is how many of
// its last lines, 0 for all. The log of a terminal goes to stdout. If the task's
// node does not answer, the error says so.
func (s *Swarm) TaskLogs(ctx context.Context, t docker.Task, tail int, stdout, stderr io.Writer) error {
	doing := "reading the log of the task " + cmp.Or(t.Name, fault.Printable(t.ID))
	if err := known(doing, "task", t.ID); err != nil {
		return err
	}
	query := url.Values{"stdout": {"true"}, "stderr": {"true"}}
	if tail > 0 {
		query.Set("tail", strconv.Itoa(tail))
	}
	request := engine.Request{Doing: doing, Method: http.MethodGet, Path: "/tasks/" + t.ID + "/logs", Query: query}
	return s.explain(s.engine.AskLog(ctx, request, t.Spec.TTY, stdout, stderr))
}

// tasksOf returns the tasks that a filter selects, without names.
func (s *Swarm) tasksOf(ctx context.Context, query url.Values) ([]docker.Task, error) {
	const doing = "listing the Swarm's tasks"
	answer, err := s.get(ctx, doing, "/tasks", query)
	if err != nil {
		return nil, err
	}
	var list []task
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.Task, len(list))
	for i, raw := range list {
		if all[i], err = taskOf(doing, raw); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func taskOf(doing string, raw task) (docker.Task, error) {
	spec, err := docker.ParseTaskSpec(withRuntime(raw.Spec))
	if err != nil {
		return docker.Task{}, notUnderstood(doing)
	}
	t := docker.Task{
		ID: raw.ID, ServiceID: raw.ServiceID, NodeID: raw.NodeID, Slot: raw.Slot, State: raw.Status.State, Desired: raw.DesiredState,
		Message: engine.OneLine(raw.Status.Message), Problem: engine.OneLine(raw.Status.Err), Created: raw.CreatedAt, Changed: raw.Status.Timestamp, Spec: spec,
	}
	if c := raw.Status.ContainerStatus; c != nil {
		t.ContainerID, t.ExitCode = c.ContainerID, c.ExitCode
	}
	if raw.JobIteration != nil {
		t.Job = raw.JobIteration.Index
	}
	return t, nil
}

// withRuntime adds to a task's specification what the engine adds to that of a
// service only: the runtime of a container, if it is not another one.
func withRuntime(spec json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(spec, &fields) != nil || fields["ContainerSpec"] == nil || fields["Runtime"] != nil {
		return spec
	}
	fields["Runtime"] = json.RawMessage(`"container"`)
	return encode(fields)
}

// name names tasks after their services, as the docker command does. A service
// that is gone and was never seen is named by its id.
func (s *Swarm) name(ctx context.Context, tasks []docker.Task) error {
	names := s.namesOf(tasks)
	if slices.ContainsFunc(tasks, func(t docker.Task) bool { return names[t.ServiceID] == "" }) {
		if _, err := s.Services(ctx); err != nil {
			return err
		}
		names = s.namesOf(tasks)
	}
	for i, t := range tasks {
		name := cmp.Or(names[t.ServiceID], t.ServiceID)
		switch {
		case t.Slot != 0:
			name += "." + strconv.Itoa(t.Slot)
		case t.NodeID != "":
			name += "." + t.NodeID
		}
		tasks[i].Name = name
	}
	return nil
}

// namesOf returns the names of the tasks' services that are known.
func (s *Swarm) namesOf(tasks []docker.Task) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]string{}
	for _, t := range tasks {
		names[t.ServiceID] = s.names[t.ServiceID]
	}
	return names
}

// filter is the query that selects by one of several values.
func filter(key string, values []string) url.Values {
	any := map[string]bool{}
	for _, value := range values {
		any[value] = true
	}
	return url.Values{"filters": {string(encode(map[string]map[string]bool{key: any}))}}
}
