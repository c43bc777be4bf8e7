package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testFiles are the files of this directory's tests, whatever their build tags.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	all := map[string]string{}
	for _, file := range files {
		if strings.Contains(file, "_itself_") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

// called returns the last arguments that are texts of all calls of functions
// and methods of a name, sorted.
func called(t *testing.T, files map[string]string, name string) []string {
	t.Helper()
	var all []string
	for file, text := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || nameOf(call.Fun) != name {
				return true
			}
			text := ""
			for _, argument := range call.Args {
				if literal, is := argument.(*ast.BasicLit); is && literal.Kind == token.STRING {
					text, _ = strconv.Unquote(literal.Value)
				}
			}
			all = append(all, text)
			return true
		})
	}
	slices.Sort(all)
	return all
}

// nameOf is the name of what is called, without what it belongs to.
func nameOf(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// TestEveryAuditIsFinished: each ledger that is kept is compared by one test,
// and each audit that begins ends so.
func TestEveryAuditIsFinished(t *testing.T) {
	kept, err := filepath.Glob(filepath.Join("testdata", "ledger", "*.txt"))
	if err != nil || len(kept) == 0 {
		t.Fatalf("no ledgers: %v", err)
	}
	for i := range kept {
		kept[i] = strings.TrimSuffix(filepath.Base(kept[i]), ".txt")
	}
	if finished := called(t, testFiles(t), "finish"); !slices.Equal(finished, kept) {
		t.Errorf("the tests finish %v, and there are ledgers of %v", finished, kept)
	}
	if begun := called(t, testFiles(t), "newAudit"); len(begun) != len(kept) {
		t.Errorf("%d audits are made, and %d finished", len(begun), len(kept))
	}
}

// TestEveryTableIsCompared: each part of docs/PROOF.md is compared with what one
// test sees.
func TestEveryTableIsCompared(t *testing.T) {
	text, err := os.ReadFile(proofFile)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^<!-- begin (\w+) -->$`).FindAllStringSubmatch(string(text), -1) {
		parts[found[1]] = true
	}
	if compared := called(t, testFiles(t), "requireProof"); len(parts) == 0 || !slices.Equal(compared, slices.Sorted(maps.Keys(parts))) {
		t.Errorf("compared are the parts %v of docs/PROOF.md, which has %v", compared, slices.Sorted(maps.Keys(parts)))
	}
}

// TestAComparisonThatIsGoneIsMissed takes out each comparison of a ledger and of
// a table.
func TestAComparisonThatIsGoneIsMissed(t *testing.T) {
	tried := 0
	for file, text := range testFiles(t) {
		for line := range strings.Lines(text) {
			for _, name := range []string{"finish", "requireProof"} {
				if !strings.HasPrefix(strings.TrimSpace(line), name+"(t, \"") && !strings.Contains(line, "."+name+"(t, \"") {
					continue
				}
				tried++
				without := testFiles(t)
				without[file] = strings.Replace(text, line, "", 1)
				if whole, left := called(t, testFiles(t), name), called(t, without, name); len(left) != len(whole)-1 {
					t.Errorf("%s without %s is not missed: %v, %v", file, strings.TrimSpace(line), whole, left)
				}
			}
		}
	}
	if tried < 7 { // four ledgers and three tables
		t.Errorf("only %d were tried", tried)
	}
}
