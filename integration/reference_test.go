package integration

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/host"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/internal/sweep"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs/REFERENCE.md")

const reference = "../docs/REFERENCE.md"

// TestReference compares each generated part of docs/REFERENCE.md with the code:
// `go test ./integration -run TestReference -update` rewrites them.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, make := range map[string]func(*testing.T) string{
		"targets": targetsPart, "variables": variablesPart, "exit codes": exitCodesPart, "json": jsonPart,
	} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		now, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no part %q", reference, name)
		}
		want := make(t)
		if strings.TrimSpace(want) == "" {
			t.Fatalf("the code gives nothing for %q", name)
		}
		if now != want && !*update {
			t.Errorf("the part %q does not match the code; rewrite it with -update", name)
		}
		text = before + begin + want + end + after
	}
	if *update {
		if err := os.WriteFile(reference, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// help runs the binary and returns its help.
func help(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), keepmumBinary(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// targetNames lists the targets as `keepmum -l` does.
func targetNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^  ([A-Za-z:]+)\*? `).FindAllStringSubmatch(help(t, "-l"), -1) {
		names = append(names, match[1])
	}
	if len(names) < 10 {
		t.Fatalf("only %d targets are listed", len(names))
	}
	return names
}

// targetsPart is a section for each target: what it does, its line, its flags.
func targetsPart(t *testing.T) string {
	var b strings.Builder
	for _, name := range targetNames(t) {
		text, usage, _ := strings.Cut(help(t, "-h", name), "\n\nUsage:\n\n")
		_, text, _ = strings.Cut(text, " ") // the function's name
		sentences := strings.Split(strings.TrimSpace(text), "  ")
		line, flags, _ := strings.Cut(strings.TrimSpace(usage), "\n")
		line = strings.Replace(line, strings.ToLower(name), name, 1)
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n    %s\n", name, strings.ToUpper(text[:1])+strings.Join(sentences, "\n\n")[1:], line)
		rows := regexp.MustCompile(`(?m)^\t(-[A-Za-z]+)=<([\w.]+)>\s+(.*)$`).FindAllStringSubmatch(flags, -1)
		if len(rows) > 0 {
			b.WriteString("\n| flag | type | |\n|---|---|---|\n")
		}
		for _, row := range rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row[1], strings.ToLower(strings.TrimPrefix(row[2], "time.")), row[3])
		}
	}
	return b.String() + "\n"
}

// sources returns the parsed Go files in a directory, without tests.
func sources(t *testing.T, root string) []*ast.File {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// variableUses describes each variable; the test requires that it names exactly
// those that the code uses.
var variableUses = map[string]string{
	"KEEPMUM_COMPOSE_FILE":       "the compose file that is the manifest; default: the first of compose.yaml, compose.yml, docker-compose.yaml, docker-compose.yml",
	"KEEPMUM_KEY_FILE":           "the project's key, in place of .keepmum/key; it is read and never made",
	"KEEPMUM_ENV":                "read by services: `production` refuses $NAME, defaults, and a relative secrets directory",
	"KEEPMUM_STACK":              "the stack in the Swarm, where -stack is not given; default: name: of the compose file",
	"KEEPMUM_SWARM_FILE":         "the Swarm file, where -file is not given; default: docker-compose.swarm.yml",
	"KEEPMUM_POSTGRES_IMAGE":     "the image of Postgres; default: postgres:17, or where no registry answers one made from Debian packages",
	"KEEPMUM_API_PORT":           "the port of strict-api on this machine; default 8090",
	"KEEPMUM_ODDS_API_URL":       "where odds-ingestion asks; default: the simulator, in a Swarm the provider",
	"KEEPMUM_ODDS_BACKFILL":      "how far back odds-ingestion asks for past odds at its first start; default 840h, which the real provider charges for: 0s is none, and the default in a Swarm",
	"KEEPMUM_BASKETBALL_API_URL": "where schedule-poller asks; default: the simulator, in a Swarm the provider",
	"KEEPMUM_POLL_INTERVAL":      "time between two rounds of each service; default 5s, in a Swarm each service's own",
	"KEEPMUM_LOG_LEVEL":          "debug, info, warn or error, for all services; default info",
	"KEEPMUM_OVERLAY":            "docker-compose.swarm.yml: `plain` leaves traffic between nodes unencrypted; default `encrypted`, which needs ESP in each node's kernel",
	"KEEPMUM_IMAGES":             "docker-compose.swarm.yml: what the names of the services' images begin with; default `keepmum`",
	"KEEPMUM_TAG":                "docker-compose.swarm.yml: the tag of the services' images; default `dev`",
	"KEEPMUM_PROVIDER_SIM":       "docker-compose.swarm.yml: replicas of the simulator, for staging; default 0",
	"KEEPMUM_SIM_SEED":           "which season the simulator plays; default 1",
	"KEEPMUM_SIM_SPEED":          "simulated seconds in one second; default 60",
}

// variablesPart is a table of keepmum's own environment variables.
func variablesPart(t *testing.T) string {
	used := map[string]bool{}
	word := regexp.MustCompile(`^"(KEEPMUM_[A-Z_]+)"$`)
	for _, root := range []string{"../internal", "../magefiles", "../pkg", "../services"} {
		for _, file := range sources(t, root) {
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if m := word.FindStringSubmatch(lit.Value); m != nil {
						used[m[1]] = true
					}
				}
				return true
			})
		}
	}
	for _, file := range []string{"../docker-compose.yml", "../docker-compose.swarm.yml"} {
		compose, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{(KEEPMUM_[A-Z_]+)`).FindAllStringSubmatch(string(compose), -1) {
			used[m[1]] = true
		}
	}
	delete(used, sweep.CanaryName) // a secret's name, not a variable
	var names []string
	for name := range used {
		names = append(names, name)
		if variableUses[name] == "" {
			t.Errorf("the code uses %s, which is not described", name)
		}
	}
	for name := range variableUses {
		if !used[name] {
			t.Errorf("%s is described, and the code does not use it", name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("\n| variable | |\n|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, variableUses[name])
	}
	return b.String() + "\n"
}

// exitCodesPart is a table of the codes that package fault declares, with their
// comments.
func exitCodesPart(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n| code | |\n|---|---|\n| 0 | done |\n")
	for _, file := range sources(t, "../internal/fault") {
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				if kind, ok := value.Type.(*ast.Ident); !ok || kind.Name != "Code" {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s |\n", value.Values[0].(*ast.BasicLit).Value, strings.TrimSpace(value.Comment.Text()))
			}
		}
	}
	return b.String() + "\n"
}

// documents are the results that -json prints, by target.
var documents = map[string]any{
	"secrets:init":         values.InitResult{},
	"secrets:fromEnv":      values.FromEnvResult{},
	"secrets:set":          values.EditResult{},
	"secrets:remove":       values.EditResult{},
	"secrets:generate":     values.EditResult{},
	"secrets:list":         values.ListResult{},
	"secrets:validate":     values.ValidateResult{},
	"secrets:toSwarm":      versions.ToSwarmResult{},
	"secrets:diff":         versions.DiffResult{},
	"secrets:where":        versions.WhereResult{},
	"secrets:whereService": versions.WhereServiceResult{},
	"secrets:history":      versions.HistoryResult{},
	"secrets:age":          versions.AgeResult{},
	"deploy:plan":          deploy.Result{},
	"deploy:swarm":         deploy.Result{},
	"deploy:status":        deploy.StatusResult{},
	"deploy:rollback":      deploy.Result{},
	"deploy:remove":        deploy.RemoveResult{},
	"engine:up":            host.UpResult{},
	"engine:doctor":        host.DoctorResult{},
	"build:images":         images.Result{},
	"stack:up":             stack.UpResult{},
	"stack:status":         stack.StatusResult{},
	"stack:down":           stack.DownResult{},
	"demo":                 demo.Result{},
}

// undocumented are targets whose document is described in words.
var undocumented = []string{"version"}

// jsonPart lists the fields of each document.
func jsonPart(t *testing.T) string {
	var b strings.Builder
	for _, name := range targetNames(t) {
		takesJSON := strings.Contains(help(t, "-h", name), "-json=")
		document, ok := documents[name]
		if takesJSON != ok && !slices.Contains(undocumented, name) {
			t.Errorf("%s: takes -json: %v, its document is listed: %v", name, takesJSON, ok)
		}
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n`%s`\n\n| field | type |\n|---|---|\n", name)
		fields(&b, reflect.TypeOf(document), "")
	}
	return b.String() + "\n"
}

// fields writes a row for each field, and for those of its objects.
func fields(b *strings.Builder, kind reflect.Type, prefix string) {
	for i := range kind.NumField() {
		field := kind.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if field.Anonymous && name == "" {
			fields(b, field.Type, prefix)
			continue
		}
		inner, word := field.Type, ""
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice {
				word += "list of "
			}
			inner = inner.Elem()
		}
		path := prefix + name
		optional := ""
		if strings.Contains(options, "omitempty") {
			optional = ", may be absent"
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() != "time" {
			fmt.Fprintf(b, "| `%s` | %sobject%s |\n", path, word, optional)
			fields(b, inner, path+".")
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s%s%s |\n", path, word, plain(inner), optional)
	}
}

// plain is the name of a type in JSON.
func plain(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Map:
		return "object"
	case reflect.Struct:
		return "string, RFC 3339"
	default:
		return "number"
	}
}
