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

// called returns the last arguments, where they are texts, of all calls of
// functions and methods of this directory's tests that have a name, sorted. It
// reads the files, whatever their build tags: what compares is missed when it
// is not called any more.
func called(t *testing.T, name string) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	var all []string
	for _, file := range files {
		if strings.Contains(file, "_itself_") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
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
	if finished := called(t, "finish"); !slices.Equal(finished, kept) {
		t.Errorf("the tests finish %v, and there are ledgers of %v", finished, kept)
	}
	if begun := called(t, "newAudit"); len(begun) != len(kept) {
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
	if compared := called(t, "requireProof"); len(parts) == 0 || !slices.Equal(compared, slices.Sorted(maps.Keys(parts))) {
		t.Errorf("compared are the parts %v of docs/PROOF.md, which has %v", compared, slices.Sorted(maps.Keys(parts)))
	}
}
