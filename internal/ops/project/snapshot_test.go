package project_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestSnapshot_Compare(t *testing.T) {
	value := func(s string) secrets.Secret { return secrets.New([]byte(s)) }
	unreadable := errors.New("unreadable")
	s := &project.Snapshot{Values: map[string]project.Value{
		"SAME":  {Secret: value("x")},
		"EMPTY": {Err: &fault.Error{Code: fault.Invalid, Cause: project.ErrContent}},
		"DIR":   {Err: unreadable},
	}}
	for name, want := range map[string]struct {
		change project.Change
		err    error
	}{"NEW": {project.Created, nil}, "SAME": {project.Unchanged, nil}, "EMPTY": {project.Updated, nil}, "DIR": {"", unreadable}} {
		if got, err := s.Compare(name, value("x")); got != want.change || !errors.Is(err, want.err) {
			t.Errorf("%s: %s, %v; want %s, %v", name, got, err, want.change, want.err)
		}
	}
	if got, err := s.Compare("SAME", value("y")); got != project.Updated || err != nil {
		t.Errorf("another value: %s, %v", got, err)
	}
}

func TestSnapshot_LooksUpAsASource(t *testing.T) {
	s := &project.Snapshot{Values: map[string]project.Value{"A": {Secret: secrets.New([]byte("x"))}, "BAD": {Err: fs.ErrPermission}}}
	if found, err := s.Lookup("A"); err != nil || found.Kind != secrets.KindFile || found.Value.RevealString() != "x" {
		t.Errorf("%v, %v", found.Kind, err)
	}
	if _, err := s.Lookup("NONE"); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
	if _, err := s.Lookup("BAD"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
}

func TestSnapshot_AfterLeavesTheOldOneAlone(t *testing.T) {
	now := time.Unix(1000, 0)
	old := &project.Snapshot{Dir: "secrets", Values: map[string]project.Value{"A": {Secret: secrets.New([]byte("x"))}, "B": {}}}
	after := old.After(project.Batch{Write: map[string]secrets.Secret{"C": secrets.New([]byte("z"))}, Remove: []string{"A"}}, now)
	if !slices.Equal(old.Names(), []string{"A", "B"}) || !slices.Equal(after.Names(), []string{"B", "C"}) || after.Dir != "secrets" {
		t.Errorf("old %q, after %q in %s", old.Names(), after.Names(), after.Dir)
	}
	if c := after.Values["C"]; !c.Written.Equal(now) || c.Mode != 0o444 {
		t.Errorf("written %v with mode %#o", c.Written, c.Mode)
	}
	if none := (&project.Snapshot{}).After(project.Batch{Write: map[string]secrets.Secret{"C": secrets.New([]byte("z"))}}, now); len(none.Values) != 1 {
		t.Error("an empty snapshot takes no values")
	}
}

func TestSnapshot_NamesAreSortedAndHoldTheUnreadable(t *testing.T) {
	s := &project.Snapshot{Values: map[string]project.Value{"B": {}, "A": {Err: fs.ErrPermission}, "C": {}}}
	if got := s.Names(); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("names %q", got)
	}
	if got := (&project.Snapshot{}).Names(); len(got) > 0 {
		t.Errorf("of no directory: %q", got)
	}
}

func TestSnapshot_KnowsWhatCanBeRead(t *testing.T) {
	s := &project.Snapshot{Values: map[string]project.Value{"B": {Secret: secrets.New([]byte("y"))}, "BAD": {Err: fs.ErrPermission}, "A": {Secret: secrets.New([]byte("x"))}}}
	var got []string
	for _, known := range s.Known() {
		got = append(got, known.Name+"="+known.Value.RevealString())
	}
	if !slices.Equal(got, []string{"A=x", "B=y"}) {
		t.Errorf("%d values are known, or in another order", len(got))
	}
	if known := (&project.Snapshot{}).Known(); len(known) > 0 {
		t.Errorf("of no directory: %d", len(known))
	}
}

func TestSnapshot_AfterRemovesAndReplaces(t *testing.T) {
	b := opstest.New(t)
	b.Write("A", "one", "B", "two")
	old := b.Load().Values
	now, err := b.Store.Update(t.Context(), func(now *project.Snapshot) (project.Batch, error) {
		return project.Batch{Write: map[string]secrets.Secret{"A": secrets.New([]byte("three"))}, Remove: []string{"B"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read := b.Load().Values
	for _, s := range []*project.Snapshot{now, read} {
		if value, there, err := s.Read("A"); err != nil || !there || value.RevealString() != "three" || s.Values["A"].Mode != 0o444 {
			t.Errorf("A: there %v, mode %#o, %v", there, s.Values["A"].Mode, err)
		}
		if _, there, _ := s.Read("B"); there || s.Dir != old.Dir || !s.Exists {
			t.Errorf("B: there %v", there)
		}
	}
	if value, _, _ := old.Read("A"); value.RevealString() != "one" {
		t.Error("the old snapshot was changed")
	}
}
