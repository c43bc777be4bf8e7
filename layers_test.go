// The layers of DESIGN section 4, held by a test. A violation names both
// packages and the rule. The last test adds a forbidden import to the real
// tree (by an overlay) and requires that it is found.
package keepmum_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/keepmum/keepmum"

// layer is a row of the table in docs/ARCHITECTURE.md.
type layer struct {
	name string
	dirs []string // packages at or below these; the first layer that has one wins
	may  []string // directories of this module that it may import
	// third holds import path prefixes from other modules; nil allows all.
	third []string
}

var (
	core     = []string{"pkg/secrets", "pkg/redact"}
	ground   = []string{"internal/fault", "internal/fingerprint", "internal/docker"}
	domain   = []string{"internal/envfile", "internal/manifest", "internal/rollout", "internal/sweep"}
	usecases = []string{"internal/ops/project", "internal/ops/values", "internal/ops/images", "internal/ops/host", "internal/ops/mounts", "internal/ops/stack", "internal/ops/demo", "internal/ops/cluster", "internal/ops/execute", "internal/ops/versions", "internal/ops/deploy"}
	adapters = []string{"internal/docker/engine", "internal/docker/convert", "internal/docker/swarm", "internal/proc", "internal/machine", "internal/imagebuild", "internal/compose", "internal/secretdir", "internal/strictapi", "internal/console", "internal/worktree", "internal/gotool"}
	clients  = []string{"github.com/docker/", "github.com/containerd/", "github.com/distribution/", "github.com/moby/", "github.com/opencontainers/"}
)

// only names packages that may be imported without those below them.
func only(dirs ...string) []string {
	exact := make([]string, len(dirs))
	for i, dir := range dirs {
		exact[i] = "=" + dir
	}
	return exact
}

// overEngine lets an adapter of the Docker client use the connection of another.
func overEngine(l layer) layer {
	l.may = append(l.may, "internal/docker/engine")
	return l
}

// layers lists the rules, most special directory first. An adapter may import
// no other adapter but internal/proc.
func layers() []layer {
	ground := slices.Concat(core, only(ground...), domain)
	usecase := func(dir string, may ...string) layer {
		allowed := append(slices.Clone(ground), "internal/ops/"+dir)
		for _, other := range may {
			allowed = append(allowed, "internal/ops/"+other)
		}
		return layer{"L2 use cases " + dir, []string{"internal/ops/" + dir}, allowed, []string{"golang.org/x/sync/errgroup"}}
	}
	below := slices.Concat(ground, usecases)
	adapter := func(dir string, third ...string) layer {
		return layer{"L3 adapter " + dir, []string{dir}, append(slices.Clone(below), dir, "internal/proc", "tools"), append([]string{"golang.org/x/"}, third...)}
	}
	return []layer{
		{"L0 public core", core, core, []string{}},
		{"ground fault", []string{"internal/fault"}, []string{}, []string{}},
		{"ground fingerprint", []string{"internal/fingerprint"}, core, []string{}},
		adapter("internal/docker/engine", clients...),
		adapter("internal/docker/convert", append([]string{"github.com/compose-spec/compose-go/v2/types", "go.yaml.in/yaml/v4"}, clients...)...),
		overEngine(adapter("internal/docker/swarm", clients...)),
		{"ground docker", []string{"internal/docker"}, []string{}, []string{}},
		{"L1 envfile", []string{"internal/envfile"}, append(only("internal/envfile", "internal/fault"), core...), []string{"github.com/joho/godotenv", "github.com/compose-spec/compose-go/v2/dotenv", "github.com/compose-spec/compose-go/v2/template", "github.com/sirupsen/logrus"}},
		{"L1 manifest", []string{"internal/manifest"}, append(only("internal/manifest", "internal/fault"), core...), []string{"github.com/compose-spec/compose-go/v2/", "github.com/moby/patternmatcher", "go.yaml.in/yaml/v4", "github.com/sirupsen/logrus"}},
		{"tests of use cases", []string{"internal/ops/opstest", "internal/ops/swarmtest"}, append(slices.Clone(below), "internal/secretdir"), []string{}},
		usecase("project"),
		usecase("values", "project"),
		usecase("images", "project"),
		usecase("host"),
		usecase("mounts", "images"),
		usecase("stack", "project", "values", "images", "mounts"),
		usecase("demo", "project", "values", "stack"),
		usecase("cluster", "project"),
		usecase("versions", "project", "cluster"),
		usecase("execute"),
		usecase("deploy", "project", "cluster", "execute"),
		{"L3 adapter internal/proc", []string{"internal/proc"}, []string{"internal/proc", "=internal/fault"}, []string{"golang.org/x/"}},
		adapter("internal/machine"),
		adapter("internal/imagebuild"),
		adapter("internal/compose", "github.com/gofrs/flock"),
		adapter("internal/secretdir", "github.com/gofrs/flock"),
		adapter("internal/strictapi"),
		{"L1 rollout", []string{"internal/rollout"}, slices.Concat(core, only("internal/rollout", "internal/fault", "internal/docker")), []string{}},
		{"L1 sweep", []string{"internal/sweep"}, slices.Concat(core, only("internal/sweep", "internal/fault", "internal/docker")), []string{"golang.org/x/"}},
		adapter("internal/console", "github.com/magefile/mage/mg"),
		adapter("internal/worktree"),
		adapter("internal/gotool"),
		{"L4 entry", []string{"magefiles"}, slices.Concat(below, []string{"magefiles"}, adapters), []string{"github.com/magefile/mage/", "golang.org/x/sync/errgroup"}},
		{"tests of services", []string{"services/internal/store/storetest"}, append([]string{"services", "integration/reaper"}, core...), nil},
		{"services", []string{"services"}, append([]string{"services"}, core...), []string{"github.com/jackc/pgx/v5"}},
		{"programs", []string{"cmd"}, append([]string{"cmd"}, core...), []string{}},
		{"pinned modules", []string{"tools"}, []string{"tools"}, []string{}},
		{"integration", []string{"integration"}, []string{""}, nil},
	}
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Incomplete bool
}

// violations returns a line for each import that the layers forbid.
func violations(packages []listed) []string {
	var found []string
	for _, p := range packages {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		rule, ok := layerOf(dir)
		if !ok {
			if len(p.Imports) > 0 {
				found = append(found, p.ImportPath+" is in no layer")
			}
			continue
		}
		for _, imported := range p.Imports {
			if !rule.allows(imported) {
				found = append(found, fmt.Sprintf("%s (%s) may not import %s", p.ImportPath, rule.name, imported))
			}
		}
	}
	return found
}

// layerOf finds the layer of a directory.
func layerOf(dir string) (layer, bool) {
	for _, l := range layers() {
		if within(dir, l.dirs) {
			return l, true
		}
	}
	return layer{}, false
}

// within reports whether dir is one of dirs, or is below one that does not begin
// with =.
func within(dir string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		d, exact := strings.CutPrefix(d, "=")
		return d == "" || dir == d || !exact && strings.HasPrefix(dir, d+"/")
	})
}

// allows reports whether the layer may import a package.
func (l layer) allows(imported string) bool {
	if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
		return within(inside, l.may)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || l.third == nil { // the standard library has no dot there
		return true
	}
	return slices.ContainsFunc(l.third, func(prefix string) bool {
		return imported == strings.TrimSuffix(prefix, "/") || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/")
	})
}

// list returns the packages of the module, read with the given overlay.
func list(t *testing.T, overlay map[string]string) []listed {
	t.Helper()
	args := []string{"list", "-e", "-tags", "integration,swarm", "-json=ImportPath,Imports,Incomplete"}
	if overlay != nil {
		args = append(args, "-overlay", overlayFile(t, overlay))
	}
	var packages []listed
	for _, goos := range []string{"linux", "windows"} {
		cmd := exec.Command("go", append(args, "./...")...)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, stderr.String())
		}
		decoder := json.NewDecoder(bytes.NewReader(out))
		for {
			var p listed
			if err := decoder.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			packages = append(packages, p)
		}
	}
	return packages
}

// overlayFile writes the argument of -overlay: files that are in the tree for
// one command only.
func overlayFile(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	temporary := t.TempDir()
	for path, text := range files {
		stand := filepath.Join(temporary, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(stand, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(dir, filepath.FromSlash(path))] = stand
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(temporary, "overlay.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportsGoDownOnly(t *testing.T) {
	packages := list(t, nil)
	if len(packages) < 20 {
		t.Fatalf("only %d packages were read", len(packages))
	}
	for _, one := range violations(packages) {
		t.Error(one)
	}
}

func TestEveryLayerHasAPackage(t *testing.T) {
	packages := list(t, nil)
	for _, l := range layers() {
		if l.name == "programs" {
			continue // cmd/keepmum-run comes with a later issue
		}
		if !slices.ContainsFunc(packages, func(p listed) bool {
			return within(strings.TrimPrefix(p.ImportPath, module+"/"), l.dirs)
		}) {
			t.Errorf("%s: no package stands at %v", l.name, l.dirs)
		}
	}
}

func TestForbiddenImportsAreFound(t *testing.T) {
	forbidden := map[string]struct{ file, text string }{
		"core to a library":      {"pkg/secrets/zz.go", "package secrets\n\nimport _ \"github.com/joho/godotenv\"\n"},
		"core upwards":           {"pkg/redact/zz.go", "package redact\n\nimport _ \"" + module + "/internal/ops/values\"\n"},
		"domain to files":        {"internal/manifest/zz.go", "package manifest\n\nimport _ \"" + module + "/internal/secretdir\"\n"},
		"ground to the domain":   {"internal/docker/zz.go", "package docker\n\nimport _ \"" + module + "/internal/manifest\"\n"},
		"ground to a library":    {"internal/fault/zz.go", "package fault\n\nimport _ \"github.com/magefile/mage/mg\"\n"},
		"domain to the engine":   {"internal/manifest/zz.go", "package manifest\n\nimport _ \"" + module + "/internal/docker/engine\"\n"},
		"sweep to the domain":    {"internal/sweep/zz.go", "package sweep\n\nimport _ \"" + module + "/internal/manifest\"\n"},
		"sweep to a use case":    {"internal/sweep/zz.go", "package sweep\n\nimport _ \"" + module + "/internal/ops/project\"\n"},
		"use case to the tests":  {"internal/ops/values/zz.go", "package values\n\nimport _ \"" + module + "/internal/ops/opstest\"\n"},
		"domain to domain":       {"internal/manifest/zz.go", "package manifest\n\nimport _ \"" + module + "/internal/envfile\"\n"},
		"use case upwards":       {"internal/ops/values/zz.go", "package values\n\nimport _ \"" + module + "/internal/ops/stack\"\n"},
		"use case to an adapter": {"internal/ops/values/zz.go", "package values\n\nimport _ \"" + module + "/internal/console\"\n"},
		"use case to docker":     {"internal/ops/values/zz.go", "package values\n\nimport _ \"github.com/docker/docker/client\"\n"},
		"adapter to adapter":     {"internal/compose/zz.go", "package compose\n\nimport _ \"" + module + "/internal/docker/engine\"\n"},
		"adapter to docker":      {"internal/imagebuild/zz.go", "package imagebuild\n\nimport _ \"github.com/docker/docker/client\"\n"},
		"service to internal":    {"services/strict-api/zz.go", "package main\n\nimport _ \"" + module + "/internal/ops/values\"\n"},
		"service to the tests":   {"services/strict-api/zz.go", "package main\n\nimport _ \"" + module + "/integration/reaper\"\n"},
		"entry to docker":        {"magefiles/secrets/zz.go", "package secrets\n\nimport _ \"github.com/docker/docker/client\"\n"},
		"a package of no layer":  {"helpers/zz.go", "package helpers\n\nimport _ \"fmt\"\n"},
	}
	for name, f := range forbidden {
		t.Run(name, func(t *testing.T) {
			found := violations(list(t, map[string]string{f.file: f.text}))
			if len(found) == 0 {
				t.Errorf("%s was not found", f.file)
			}
		})
	}
}

// exportedNames returns the exported top-level names that a package's files
// declare, and counts their lines.
func exportedNames(t *testing.T, files []string) (names []string, lines int) {
	t.Helper()
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, id.Name)
			}
		}
	}
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(source, []byte("\n"))
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					add(decl.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name)
					case *ast.ValueSpec:
						add(spec.Names...)
					}
				}
			}
		}
	}
	return names, lines
}

// TestUseCasesStaySmall: internal/ops was one package of 4,800 lines and 88
// exported types once.
func TestUseCasesStaySmall(t *testing.T) {
	const mostLines, mostNames = 1500, 25
	dirs, err := filepath.Glob("internal/ops/*")
	if err != nil || len(dirs) < 6 {
		t.Fatalf("%d packages, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
		names, lines := exportedNames(t, files)
		if len(names) == 0 || lines == 0 {
			t.Errorf("%s: nothing was counted", dir)
		}
		if lines > mostLines || len(names) > mostNames {
			t.Errorf("%s has %d lines (at most %d) and %d exported names (at most %d): %s", dir, lines, mostLines, len(names), mostNames, strings.Join(names, " "))
		}
		t.Logf("%s: %d lines, %d exported names", dir, lines, len(names))
	}
}
