package docker_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
)

// written returns the places of string literals in Go source that spell out a
// label key.
func written(t *testing.T, path string, source any) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	ast.Inspect(file, func(n ast.Node) bool {
		text, ok := n.(*ast.BasicLit)
		if ok && text.Kind == token.STRING && (strings.Contains(text.Value, "io.keepmum.") || strings.Contains(text.Value, "com.docker.compose.") || strings.Contains(text.Value, "com.docker.stack.")) {
			places = append(places, files.Position(text.Pos()).String())
		}
		return true
	})
	return places
}

func TestLabels_SpelledOutOnce(t *testing.T) {
	if found := written(t, "probe.go", "package p\n\nvar a = \"io.keepmum.x\" // io.keepmum.y\nvar b = `com.docker.compose.z`\nvar c = `com.docker.stack.z`\n"); len(found) != 3 {
		t.Fatalf("the search finds %v", found)
	}
	seen := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		for _, place := range written(t, path, nil) {
			if path != filepath.Join("..", "docker", "labels.go") {
				t.Errorf("%s spells out a label key: use a constant of internal/docker", place)
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestReserved_AreTheLabelsOfBothTools(t *testing.T) {
	for label, want := range map[string]bool{docker.LabelSecret: true, docker.LabelNamespace: true, docker.LabelStackImage: true, "com.docker.compose.project": false, "traefik.enable": false, "": false} {
		if got := docker.Reserved(label); got != want {
			t.Errorf("%s: %v", label, got)
		}
	}
}
