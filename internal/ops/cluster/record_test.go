package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
)

// records returns the names of the configs that are records.
func records(t *testing.T, s *clustertest.Swarm) []string {
	t.Helper()
	all, err := s.Configs(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		if strings.Contains(one.Name, "_keepmum.record.") {
			names = append(names, one.Name)
		}
	}
	return names
}

// note records an operation and fails the test if that fails.
func note(t *testing.T, state *cluster.State, e cluster.Entry) {
	t.Helper()
	if err := state.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// history returns the record.
func history(t *testing.T, state *cluster.State) []cluster.Entry {
	t.Helper()
	entries, err := state.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestRecord_SaysWhoDidWhat(t *testing.T) {
	s := clustertest.New()
	version(t, s, "shop", "TOKEN", "1", "production")
	at := time.Date(2026, 11, 28, 10, 0, 0, 123, time.FixedZone("x", 3600))
	state, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, By: "anna@here", Now: func() time.Time { return at }}).Open(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if entries := history(t, state); len(entries) != 0 || entries == nil {
		t.Errorf("before the first operation: %v", entries)
	}
	note(t, state, cluster.Entry{Operation: "secrets:toSwarm", Outcome: "done", Reason: "first", Versions: []string{"shop_TOKEN.v1"}})
	note(t, state, cluster.Entry{Operation: "deploy:swarm", Outcome: "rolled back", Services: []string{"shop_api"}, Environment: "staging"})
	entries := history(t, state)
	if len(entries) != 2 {
		t.Fatalf("%d entries", len(entries))
	}
	newest, first := entries[0], entries[1]
	if newest.Operation != "deploy:swarm" || newest.Environment != "staging" || newest.Services[0] != "shop_api" || newest.ID == first.ID || newest.ID == "" {
		t.Errorf("the newest is %+v", newest)
	}
	if first.By != "anna@here" || first.Stack != "shop" || first.Environment != "production" || first.Reason != "first" || first.Versions[0] != "shop_TOKEN.v1" || !first.Time.Equal(at.Truncate(time.Second)) || first.Time.Location() != time.UTC {
		t.Errorf("the first is %+v", first)
	}
	if names := records(t, s); len(names) != 1 || names[0] != "shop_keepmum.record.2" {
		t.Errorf("configs: %q", names)
	}
	if one, _ := config(t, s, "shop_keepmum.record.2"); one.Labels[docker.LabelStack] != "shop" || one.Labels[docker.LabelRecord] != "2" || one.Labels[docker.LabelNamespace] != "" {
		t.Errorf("labels: %v", one.Labels)
	}
}

func TestRecord_KeepsFiftyOperations(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	for i := range 60 {
		note(t, state, cluster.Entry{Operation: fmt.Sprint("operation ", i)})
	}
	entries := history(t, state)
	if len(entries) != 50 || entries[0].Operation != "operation 59" || entries[49].Operation != "operation 10" {
		t.Errorf("%d entries, from %s to %s", len(entries), entries[0].Operation, entries[len(entries)-1].Operation)
	}
}

func TestRecord_FitsIntoAConfig(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	long := make([]string, 5000)
	for i := range long {
		long[i] = fmt.Sprintf("shop_%s.v%d", strings.Repeat("N", 40), i)
	}
	for i := range 20 {
		note(t, state, cluster.Entry{Operation: fmt.Sprint("operation ", i), Versions: long, Services: long, Before: map[string]string{"one": strings.Repeat("d", 60_000)}})
	}
	entries := history(t, state)
	if len(entries) < 2 || entries[0].Operation != "operation 19" || !entries[0].Cut || len(entries[0].Versions) == 0 {
		t.Errorf("%d entries, the newest with %d versions", len(entries), len(entries[0].Versions))
	}
	name := records(t, s)[0]
	if one, _ := config(t, s, name); len(one.Data) > 400_000 || len(one.Data) < 100_000 {
		t.Errorf("%d bytes", len(one.Data))
	}
	note(t, state, cluster.Entry{Operation: "short", Versions: long[:3]})
	if newest := history(t, state)[0]; newest.Cut || len(newest.Versions) != 3 {
		t.Errorf("a short entry is cut: %+v", newest)
	}
}

// Killed after the new record was made and before the old one was removed.
func TestRecord_GoesOnAfterACrash(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	note(t, state, cluster.Entry{Operation: "one"})
	s.Fail = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "RemoveConfig") {
			return errElection
		}
		return nil
	}
	note(t, state, cluster.Entry{Operation: "two"})
	if names := records(t, s); len(names) != 2 {
		t.Fatalf("no crash was played: %q", names)
	}
	if entries := history(t, state); len(entries) != 2 || entries[0].Operation != "two" {
		t.Errorf("after the crash: %+v", entries)
	}
	s.Fail = nil
	note(t, state, cluster.Entry{Operation: "three"})
	if entries := history(t, state); len(entries) != 3 || entries[0].Operation != "three" || entries[1].Operation != "two" {
		t.Errorf("%+v", entries)
	}
	if names := records(t, s); len(names) != 1 || names[0] != "shop_keepmum.record.3" {
		t.Errorf("the rest was not removed: %q", names)
	}
}

// The highest number counts, not the last in the order of names.
func TestRecord_CountsByNumbers(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	put := func(number, operation string) {
		labels := map[string]string{docker.LabelStack: "shop", docker.LabelRecord: number}
		if _, err := s.CreateConfig(t.Context(), "shop_keepmum.record."+number, labels, []byte(`{"entries":[{"operation":"`+operation+`","newer":7}]}`)); err != nil {
			t.Fatal(err)
		}
	}
	put("9", "nine")
	put("10", "ten")
	if entries := history(t, state); len(entries) != 1 || entries[0].Operation != "ten" {
		t.Errorf("%+v", entries)
	}
	note(t, state, cluster.Entry{Operation: "eleven"})
	one, there := config(t, s, "shop_keepmum.record.11")
	if !there || len(records(t, s)) != 1 {
		t.Fatalf("records: %q", records(t, s))
	}
	var content struct{ Entries []map[string]any }
	if err := json.Unmarshal(one.Data, &content); err != nil || len(content.Entries) != 2 || content.Entries[0]["newer"] != float64(7) {
		t.Errorf("a field of a newer keepmum is lost: %v %v", content, err)
	}
}

func TestRecord_LeavesOtherConfigsAlone(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	for name, labels := range map[string]map[string]string{
		"shop_keepmum.record.7":    nil, // the name is taken by somebody
		"other_keepmum.record.3":   {docker.LabelStack: "other", docker.LabelRecord: "3"},
		"shop_page.v1":             {docker.LabelStack: "shop", docker.LabelRecord: "5"},
		"shop_keepmum.record.text": {docker.LabelStack: "shop", docker.LabelRecord: "text"},
	} {
		if _, err := s.CreateConfig(t.Context(), name, labels, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	note(t, state, cluster.Entry{Operation: "one"})
	note(t, state, cluster.Entry{Operation: "two"})
	if _, there := config(t, s, "shop_keepmum.record.9"); !there {
		t.Errorf("not at the first free number above all: %q", records(t, s))
	}
	all, err := s.Configs(t.Context())
	if err != nil || len(all) != 5 {
		t.Errorf("%d configs, want the four of others and the record: %v", len(all), err)
	}
	if entries := history(t, state); len(entries) != 2 {
		t.Errorf("%+v", entries)
	}
}

func TestRecord_ThatIsNotUnderstoodBeginsAnew(t *testing.T) {
	for _, data := range []string{"text", `{"entries":[3]}`, `{"entries":7}`} {
		s := clustertest.New()
		state, said := open(t, s, "anna@here")
		labels := map[string]string{docker.LabelStack: "shop", docker.LabelRecord: "1"}
		if _, err := s.CreateConfig(t.Context(), "shop_keepmum.record.1", labels, []byte(data)); err != nil {
			t.Fatal(err)
		}
		_, err := state.History(t.Context())
		want(t, err, fault.Invalid, "shop_keepmum.record.1 is not understood")
		note(t, state, cluster.Entry{Operation: "one"})
		if entries := history(t, state); len(entries) != 1 || entries[0].Operation != "one" {
			t.Errorf("%s: %+v", data, entries)
		}
		if text := said.said(); !strings.Contains(text, "begins anew") {
			t.Errorf("%s: said %q", data, text)
		}
	}
}

// Somebody else writes a record between the list and the create.
func TestRecord_TriesTheNextNumberIfOneIsTaken(t *testing.T) {
	s := clustertest.New()
	anna, _ := open(t, s, "anna@here")
	bert, _ := open(t, s, "bert@there")
	between := 1
	s.Fail = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "CreateConfig") && between > 0 {
			between--
			return bert.Record(t.Context(), cluster.Entry{Operation: "bert's"})
		}
		return nil
	}
	note(t, anna, cluster.Entry{Operation: "anna's"})
	if entries := history(t, anna); len(entries) != 2 || entries[0].Operation != "anna's" || entries[1].Operation != "bert's" {
		t.Errorf("%+v", entries)
	}
	s.Fail = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "CreateConfig") {
			return docker.ErrExists
		}
		return nil
	}
	if err := anna.Record(t.Context(), cluster.Entry{Operation: "x"}); !errors.Is(err, docker.ErrExists) {
		t.Errorf("a number that is always taken: %v", err)
	}
}

func TestRecord_SaysThatItCouldNotBeWritten(t *testing.T) {
	for _, call := range []string{"Configs", "CreateConfig"} {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		s.Fail = func(_ context.Context, got string) error {
			if strings.HasPrefix(got, call) {
				return errElection
			}
			return nil
		}
		err := state.Record(t.Context(), cluster.Entry{})
		want(t, err, fault.Failed, "the record of stack shop could not be written")
		if _, err := state.History(t.Context()); call == "Configs" && err != errElection {
			t.Errorf("history: %v", err)
		}
	}
}

func TestRecord_IsWrittenAfterTheContextEnded(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := state.Record(ctx, cluster.Entry{Operation: "stopped"}); err != nil {
		t.Fatal(err)
	}
	if entries := history(t, state); len(entries) != 1 {
		t.Errorf("%+v", entries)
	}
}
