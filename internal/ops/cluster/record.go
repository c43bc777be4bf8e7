package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// The limits of a record: a Swarm keeps 500 KB in a config.
const (
	maxEntries = 50
	maxRecord  = 400_000 // bytes
	maxEntry   = 50_000  // bytes
	maxTries   = 5       // at a number that nobody else takes meanwhile
)

// Entry is one operation in a stack's record. It never holds a value.
type Entry struct {
	ID          string    `json:"id"`
	Time        time.Time `json:"time"` // when it ended, by the clock of who did it
	By          string    `json:"by"`   // USER@HOST
	Operation   string    `json:"operation"`
	Stack       string    `json:"stack"`
	Environment string    `json:"environment,omitempty"`
	Outcome     string    `json:"outcome"` // done, rolled back, incomplete, failed
	Reason      string    `json:"reason,omitempty"`
	Versions    []string  `json:"versions"`      // names in the Swarm of those that were made, used or removed
	Services    []string  `json:"services"`      // that were touched
	Cut         bool      `json:"cut,omitempty"` // versions and services do not name all

	// Before has a digest of each service's specification before the operation,
	// "" of one that was not there. A cut entry has none.
	Before map[string]string `json:"before,omitempty"`
}

// record is the content of a record's config. An entry stays as it was written,
// also by a newer keepmum.
type record struct {
	Entries []json.RawMessage `json:"entries"` // the newest last
}

func recordName(stack string, number int) string {
	return recordPrefix(stack) + strconv.Itoa(number)
}

func recordPrefix(stack string) string { return stack + "_keepmum.record." }

// Record adds an operation to the stack's record, also when ctx has ended. It
// sets the entry's id, time and stack, and who did it. Call it under the lock.
//
// The new record is written beside the old one, which is then removed: of two
// that a crash left, the one with the higher number counts.
func (s *State) Record(ctx context.Context, e Entry) error {
	ctx, cancel := closing(ctx, time.Second)
	defer cancel()
	e.ID, e.Time, e.By, e.Stack = rand.Text()[:12], s.cluster.Now().UTC().Truncate(time.Second), s.cluster.By, s.Stack
	e.Environment = cmp.Or(e.Environment, s.Environment)
	entry, err := e.encode()
	if err != nil {
		return err
	}
	for range maxTries {
		all, err := s.cluster.Configs.Configs(ctx)
		if err != nil {
			return s.unrecorded(err)
		}
		old := s.records(all)
		data, err := appended(s.last(old), entry)
		if err != nil {
			return err
		}
		number := s.nextRecord(all)
		labels := map[string]string{docker.LabelStack: s.Stack, docker.LabelRecord: strconv.Itoa(number)}
		_, err = s.cluster.Configs.CreateConfig(ctx, recordName(s.Stack, number), labels, data)
		switch {
		case err == nil:
			for _, one := range old {
				_ = s.cluster.Configs.RemoveConfig(ctx, one.ID) // what stays is removed by the next operation
			}
			return nil
		case !errors.Is(err, docker.ErrExists):
			return s.unrecorded(err)
		}
	}
	return s.unrecorded(docker.ErrExists)
}

// History returns the operations of the stack's record, the newest first.
func (s *State) History(ctx context.Context) ([]Entry, error) {
	all, err := s.cluster.Configs.Configs(ctx)
	if err != nil {
		return nil, err
	}
	found := s.records(all)
	if len(found) == 0 {
		return []Entry{}, nil
	}
	newest := found[len(found)-1]
	_, entries, err := decode(newest.Data)
	if err != nil {
		return nil, &fault.Error{Code: fault.Invalid, What: "the record of stack " + s.Stack + " in the config " + newest.Name + " is not understood", Next: "look at it: docker config inspect --pretty " + newest.Name}
	}
	slices.Reverse(entries)
	return entries, nil
}

// unrecorded is the error of an operation that is not in the record.
func (s *State) unrecorded(cause error) error {
	return &fault.Error{Code: fault.CodeOf(cause), What: "the record of stack " + s.Stack + " could not be written: " + fault.Text(cause), Next: "docker config ls", Cause: cause}
}

// records returns the configs that are the stack's records, the newest last.
func (s *State) records(all []docker.SwarmConfig) []docker.SwarmConfig {
	var found []docker.SwarmConfig
	for _, config := range all {
		if number := recordNumber(config); number > 0 && config.Labels[docker.LabelStack] == s.Stack && config.Name == recordName(s.Stack, number) {
			found = append(found, config)
		}
	}
	slices.SortFunc(found, func(a, b docker.SwarmConfig) int { return cmp.Compare(recordNumber(a), recordNumber(b)) })
	return found
}

// recordNumber is the number of a record; 0 for any other config.
func recordNumber(config docker.SwarmConfig) int {
	number, _ := strconv.Atoi(config.Labels[docker.LabelRecord])
	return number
}

// nextRecord is the first number above every config that has a record's name.
func (s *State) nextRecord(all []docker.SwarmConfig) int {
	highest := 0
	for _, config := range all {
		rest, ok := strings.CutPrefix(config.Name, recordPrefix(s.Stack))
		if number, err := strconv.Atoi(rest); ok && err == nil {
			highest = max(highest, number)
		}
	}
	return highest + 1
}

// last returns the content of the newest record. One that is not understood
// counts as empty, and is said.
func (s *State) last(found []docker.SwarmConfig) record {
	if len(found) == 0 {
		return record{}
	}
	newest := found[len(found)-1]
	content, _, err := decode(newest.Data)
	if err != nil {
		s.cluster.Progress.Say("the config %s was not understood; the record of stack %s begins anew", newest.Name, s.Stack)
	}
	return content
}

// encode writes an entry; long lists are cut.
func (e Entry) encode() (json.RawMessage, error) {
	for {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, errors.New("an operation cannot be written as JSON")
		}
		if len(data) <= maxEntry || len(e.Versions)+len(e.Services) == 0 {
			return data, nil
		}
		e.Versions, e.Services, e.Before, e.Cut = e.Versions[:len(e.Versions)/2], e.Services[:len(e.Services)/2], nil, true
	}
}

// appended returns a record with one more entry, and without the oldest ones that
// are too many or too large.
func appended(content record, entry json.RawMessage) ([]byte, error) {
	content.Entries = append(content.Entries, entry)
	for {
		data, err := json.Marshal(content)
		if err != nil {
			return nil, errors.New("a record cannot be written as JSON")
		}
		if len(content.Entries) == 1 || len(content.Entries) <= maxEntries && len(data) <= maxRecord {
			return data, nil
		}
		content.Entries = content.Entries[1:]
	}
}

// decode reads a record.
func decode(data []byte) (record, []Entry, error) {
	var content record
	if json.Unmarshal(data, &content) != nil {
		return record{}, nil, errors.New("not a record")
	}
	entries := make([]Entry, len(content.Entries))
	for i, raw := range content.Entries {
		if json.Unmarshal(raw, &entries[i]) != nil {
			return record{}, nil, errors.New("not an operation")
		}
	}
	return content, entries, nil
}
