package values_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// typed returns a reader of a value that a person typed.
func typed(value string) func(context.Context) (secrets.Secret, error) {
	return func(context.Context) (secrets.Secret, error) { return secrets.New([]byte(value)), nil }
}

func TestSet_AppliesTheNewlinePolicyAndTheRules(t *testing.T) {
	b := opstest.New(t)
	for i, want := range []project.Change{project.Created, project.Unchanged} {
		result, err := use(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue+"\n"), false)
		b.Silent(result, err)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("not exactly one newline was taken away")
	}
	result, err := use(b).Set(t.Context(), "LOGIN", typed("short"), false)
	b.Silent(result, err)
	refused(t, err, fault.Invalid, ":0 LOGIN")
	if _, err := use(b).Set(t.Context(), "NOWHERE", typed(opstest.OtherValue), false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an undeclared name: %v", err)
	}
	if _, err := use(b).Set(t.Context(), "../LOGIN", typed(opstest.OtherValue), false); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a name that is none: %v", err)
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("a refused value was stored")
	}
}

func TestGenerate_NeedsARuleAndDoesNotReplaceUnasked(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Generate(t.Context(), "LOGIN", false, false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a rule: %v", err)
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", false, false); err != nil {
		t.Fatal(err)
	}
	first := b.File("secrets/TOKEN")
	if len(first) < 24 {
		t.Error("the value is shorter than its rule's bytes")
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", false, false); fault.CodeOf(err) != fault.Invalid || b.File("secrets/TOKEN") != first {
		t.Errorf("a value that is there: %v", err)
	}
	if _, err := use(b).Generate(t.Context(), "TOKEN", true, false); err != nil || b.File("secrets/TOKEN") == first {
		t.Errorf("with force: %v", err)
	}
}

func TestRemove_TwiceIsSafe(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", opstest.LoginValue)
	b.Open()
	for i, want := range []project.Change{project.Removed, project.Unchanged} {
		result, err := use(b).Remove(t.Context(), "LOGIN", false)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != "" {
		t.Error("the file is still there")
	}
}

func TestSet_RefusesEveryBrokenRuleAtOnce(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "description: of the database, min_length: 8", `description: of the database, min_length: 30, pattern: "^[0-9]+$$"`, 1))
	result, err := use(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue), false)
	b.Silent(result, err)
	refused(t, err, fault.Invalid, ":0 LOGIN", ":0 LOGIN")
	if e := err.(*fault.Error); !strings.Contains(e.What, "the value breaks 2 rules of docker-compose.yml; nothing was changed") || e.Next != "mage secrets:set LOGIN" {
		t.Errorf("got %v, next %s", err, e.Next)
	}
	if result.Name != "LOGIN" || result.Change != "" || b.File("secrets/LOGIN") != "" {
		t.Errorf("changed: %+v", result)
	}
}

func TestSet_ReadsNothingForANameItRefuses(t *testing.T) {
	b := opstest.New(t)
	asked := false
	_, err := use(b).Set(t.Context(), "LOGON", func(context.Context) (secrets.Secret, error) { asked = true; return secrets.Secret{}, nil }, false)
	if asked || fault.CodeOf(err) != fault.Invalid {
		t.Errorf("asked for a value: %v, %v", asked, err)
	}
}

func TestSet_StoresNothingIfTheValueCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	before := b.Tree()
	gone := &fault.Error{Code: fault.Interrupted, What: "stopped at the prompt"}
	result, err := use(b).Set(t.Context(), "LOGIN", func(context.Context) (secrets.Secret, error) { return secrets.Secret{}, gone }, false)
	if !errors.Is(err, gone) || result.Name != "LOGIN" {
		t.Errorf("got %+v, %v", result, err)
	}
	b.Same(before)
}

func TestSet_DryRunSaysWhatWouldBeDone(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	before := b.Tree()
	for name, want := range map[string]struct {
		value  string
		change project.Change
	}{"LOGIN": {opstest.OtherValue, project.Updated}, "TOKEN": {opstest.TokenValue, project.Created}} {
		result, err := use(b).Set(t.Context(), name, typed(want.value), true)
		b.Silent(result, err)
		if err != nil || result.Change != want.change || !result.DryRun || result.Stale == nil {
			t.Errorf("%s: %+v, %v; want %s", name, result, err, want.change)
		}
	}
	if result, err := use(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue), true); err != nil || result.Change != project.Unchanged {
		t.Errorf("the same value: %+v, %v", result, err)
	}
	b.Same(before)
}

func TestSet_ComparesWithWhatAnotherCommandWroteMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile string
		want      project.Change
	}{"the same value": {opstest.LoginValue, project.Unchanged}, "another value": {opstest.OtherValue, project.Updated}} {
		t.Run(name, func(t *testing.T) {
			b := opstest.New(t)
			b.Running = map[string]string{"worker": ""}
			v := over(b, opstest.Store{Before: func() { b.Write("LOGIN", test.meanwhile) }}, opstest.Files{})
			result, err := v.Set(t.Context(), "LOGIN", typed(opstest.LoginValue), false)
			b.Silent(result, err)
			if err != nil || result.Change != test.want || b.File("secrets/LOGIN") != opstest.LoginValue {
				t.Errorf("%s, %v; want %s", result.Change, err, test.want)
			}
		})
	}
}

func TestSet_NamesServicesWithAnOlderValue(t *testing.T) {
	b := opstest.New(t)
	b.Running = map[string]string{"api": "", "worker": ""}
	result, err := use(b).Set(t.Context(), "TOKEN", typed(opstest.TokenValue), false)
	if want := []project.StaleService{{Service: "api", Secrets: []string{"TOKEN"}}}; err != nil || !reflect.DeepEqual(result.Stale, want) {
		t.Errorf("stale %v, %v; want %v", result.Stale, err, want)
	}
	if result, err = use(b).Set(t.Context(), "TOKEN", typed(opstest.TokenValue), false); err != nil || len(result.Stale) > 0 {
		t.Errorf("unchanged, and stale: %v, %v", result.Stale, err)
	}
}

func TestSet_ReplacesAnEmptyFileAndRefusesADirectory(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", "")
	b.Put("secrets/TOKEN/x", "")
	b.Open()
	if result, err := use(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue), false); err != nil || result.Change != project.Updated {
		t.Errorf("an empty file: %s, %v", result.Change, err)
	}
	before := b.Tree()
	result, err := use(b).Set(t.Context(), "TOKEN", typed(opstest.TokenValue), false)
	b.Silent(result, err)
	if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.What, "TOKEN") || e.Next == "" {
		t.Errorf("a directory: %v", err)
	}
	b.Same(before)
}

func TestSet_ReturnsTheErrorOfTheUpdate(t *testing.T) {
	b := opstest.New(t)
	b.Running = map[string]string{"worker": ""}
	result, err := over(b, opstest.Store{UpdateErr: errDisk}, opstest.Files{}).Set(t.Context(), "LOGIN", typed(opstest.LoginValue), false)
	if !errors.Is(err, errDisk) || len(result.Stale) > 0 {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestGenerate_NamesTheLineOfASecretWithoutARule(t *testing.T) {
	b := opstest.New(t)
	result, err := use(b).Generate(t.Context(), "LOGIN", true, false)
	refused(t, err, fault.Invalid)
	if e := err.(*fault.Error); e.What != "docker-compose.yml:13: LOGIN has no generate rule: a person must supply it" || e.Next != "mage secrets:set LOGIN" || result.Name != "LOGIN" {
		t.Errorf("got %v, next %s", err, e.Next)
	}
	if _, err := use(b).Generate(t.Context(), "LOGON", false, false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a name that is not declared: %v", err)
	}
}

func TestGenerate_RefusesAValueThatIsThereAndNamesTheFlag(t *testing.T) {
	b := opstest.New(t)
	b.Write("TOKEN", opstest.TokenValue)
	before := b.Tree()
	for _, dry := range []bool{false, true} {
		_, err := use(b).Generate(t.Context(), "TOKEN", false, dry)
		refused(t, err, fault.Invalid)
		if next := err.(*fault.Error).Next; next != "mage secrets:generate TOKEN -force" {
			t.Errorf("next %s", next)
		}
	}
	if result, err := use(b).Generate(t.Context(), "TOKEN", true, true); err != nil || result.Change != project.Updated {
		t.Errorf("a dry run with force: %s, %v", result.Change, err)
	}
	b.Same(before)
}

func TestGenerate_DoesNotReplaceWhatAnotherCommandWroteMeanwhile(t *testing.T) {
	b := opstest.New(t)
	v := over(b, opstest.Store{Before: func() { b.Write("TOKEN", opstest.TokenValue) }}, opstest.Files{})
	result, err := v.Generate(t.Context(), "TOKEN", false, false)
	b.Silent(result, err)
	refused(t, err, fault.Invalid)
	if b.File("secrets/TOKEN") != opstest.TokenValue {
		t.Error("the other command's value was replaced without force")
	}
	if _, err := v.Generate(t.Context(), "TOKEN", true, false); err != nil || b.File("secrets/TOKEN") == opstest.TokenValue {
		t.Errorf("with force: %v", err)
	}
}

func TestGenerate_RefusesAFileThatCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/TOKEN/x", "")
	b.Open()
	_, err := use(b).Generate(t.Context(), "TOKEN", true, false)
	if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.What, "TOKEN") {
		t.Errorf("got %v", err)
	}
	b.Put("secrets/EXTRA", "") // an empty file counts as a value that is there
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "optional: true", "generate: {bytes: 24, alphabet: hex}", 1))
	_, err = use(b).Generate(t.Context(), "EXTRA", false, false)
	refused(t, err, fault.Invalid)
	if result, err := use(b).Generate(t.Context(), "EXTRA", true, false); err != nil || result.Change != project.Updated || len(b.File("secrets/EXTRA")) != 48 {
		t.Errorf("with force: %s, %v", result.Change, err)
	}
}

func TestGenerate_SaysThatARuleMakesNoValue(t *testing.T) {
	d := manifest.Declaration{Name: "TOKEN", Line: 9, MaxLength: 10, Generate: &manifest.Generate{Bytes: 24, Alphabet: "hex"}}
	_, err := values.Generated(d, rand.Reader)
	refused(t, err, fault.Invalid)
	if e := err.(*fault.Error); !strings.HasPrefix(e.What, "TOKEN: the generate rule makes no value") || !strings.Contains(e.Next, "line 9") || e.Cause == nil {
		t.Errorf("got %v, next %s", err, e.Next)
	}
	d.MaxLength = 0
	if value, err := values.Generated(d, strings.NewReader("x")); err == nil || !value.IsZero() {
		t.Errorf("too little randomness: %v", err)
	}
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "generate: {bytes: 24, alphabet: base62}", `pattern: "^never$$", generate: {bytes: 24, alphabet: hex}`, 1))
	before := b.Tree()
	if _, err := use(b).Generate(t.Context(), "TOKEN", false, false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a rule that no value keeps: %v", err)
	}
	b.Same(before)
}

func TestRemove_RefusesWhatIsNotAName(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	before := b.Tree()
	result, err := use(b).Remove(t.Context(), "../"+opstest.OtherValue, false)
	if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Usage || e.Next != "mage secrets:list" {
		t.Errorf("got %v", err)
	}
	b.Silent(nil, err)
	if result.Stale == nil {
		t.Error("stale is null in the document")
	}
	b.Same(before)
}

func TestRemove_DryRunChangesNothing(t *testing.T) {
	b := opstest.New(t)
	b.Write("ORPHAN", opstest.OtherValue)
	before := b.Tree()
	for name, want := range map[string]project.Change{"ORPHAN": project.Removed, "LOGIN": project.Unchanged} {
		if result, err := use(b).Remove(t.Context(), name, true); err != nil || result.Change != want || !result.DryRun {
			t.Errorf("%s: %+v, %v; want %s", name, result, err, want)
		}
	}
	b.Same(before)
	if result, err := use(b).Remove(t.Context(), "ORPHAN", false); err != nil || result.Change != project.Removed || result.DryRun || b.File("secrets/ORPHAN") != "" {
		t.Errorf("a name that is not declared: %+v, %v", result, err)
	}
}

func TestRemove_SaysUnchangedIfAnotherCommandRemovedItMeanwhile(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	v := over(b, opstest.Store{Before: func() { _, _ = use(b).Remove(t.Context(), "LOGIN", false) }}, opstest.Files{})
	if result, err := v.Remove(t.Context(), "LOGIN", false); err != nil || result.Change != project.Unchanged {
		t.Errorf("%s, %v; want unchanged", result.Change, err)
	}
}

func TestRemove_TakesAnEmptyFileAndRefusesADirectory(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", "")
	b.Put("secrets/TOKEN/x", "")
	b.Open()
	if result, err := use(b).Remove(t.Context(), "LOGIN", false); err != nil || result.Change != project.Removed {
		t.Errorf("an empty file: %s, %v", result.Change, err)
	}
	if _, err := os.Lstat(filepath.Join(b.Dir, "secrets", "LOGIN")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := use(b).Remove(t.Context(), "TOKEN", false); fault.CodeOf(err) != fault.Invalid || b.Tree()["secrets/TOKEN/x"] == "" {
		t.Errorf("a directory: %v", err)
	}
	if _, err := over(b, opstest.Store{UpdateErr: errDisk}, opstest.Files{}).Remove(t.Context(), "LOGIN", false); err != nil {
		t.Errorf("an update for a file that is not there: %v", err)
	}
	b.Write("LOGIN", opstest.LoginValue)
	if _, err := over(b, opstest.Store{UpdateErr: errDisk}, opstest.Files{}).Remove(t.Context(), "LOGIN", false); !errors.Is(err, errDisk) {
		t.Errorf("a store that fails: %v", err)
	}
}
