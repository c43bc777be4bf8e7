package stackoracle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	ours "github.com/keepmum/keepmum/internal/docker/convert"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

// options are keepmum's for a stack file in a directory.
func options(dir string) ours.Options {
	return ours.Options{
		Stack: stack, API: "1.51", Dir: dir,
		ReadFile: func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, path)) },
		Lookup:   func(name string) (string, bool) { value, set := environment()[name]; return value, set },
	}
}

// read reads a stack file as keepmum does, writes the files that it names, and
// returns the directory. findings say why keepmum refuses it.
func read(t *testing.T, name string) (m *manifest.Manifest, data []byte, dir string, findings []fault.Finding) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, findings = manifest.Options{Swarm: true, Lookup: options("").Lookup}.Parse(filepath.Base(name), data)
	var files []string
	if m.Model != nil {
		for _, c := range m.Model.Configs {
			if c.File != "" {
				files = append(files, c.File)
			}
		}
		for _, s := range m.Model.Services {
			for _, e := range s.EnvFiles {
				files = append(files, e.Path)
			}
		}
	}
	if len(findings) > 0 {
		return m, data, "", findings
	}
	dir = place(t, name, files)
	_, findings, _ = ours.Convert(m, options(dir))
	return m, data, dir, findings
}

// byKeepmum converts a stack file that is accepted.
func byKeepmum(t *testing.T, m *manifest.Manifest, dir string) (result, docker.StackSpec) {
	t.Helper()
	spec, findings, _ := ours.Convert(m, options(dir))
	if len(findings) > 0 {
		t.Fatalf("refused: %v", findings)
	}
	all := result{map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}}
	for _, s := range spec.Services {
		all.Services[s.Name] = decoded(t, s.JSON)
	}
	for _, n := range spec.Networks {
		tree := decoded(t, n.JSON).(map[string]any)
		delete(tree, "Name") // of the request around it
		all.Networks[n.Name] = tree
	}
	for _, c := range spec.Configs {
		all.Configs[c.Name] = string(c.Data)
	}
	for _, name := range spec.ExternalNetworks {
		all.External[name] = true
	}
	return all, spec
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// difference is one place where the two conversions differ.
type difference struct{ path, docker, keepmum string }

func (d difference) String() string {
	return fmt.Sprintf("%s\n    docker:  %s\n    keepmum: %s", d.path, d.docker, d.keepmum)
}

// unordered are lists whose order neither the file nor the engine fixes, with
// the keys by which their entries are sorted before they are compared.
var unordered = map[string][]string{
	"Ports":   {"PublishedPort", "TargetPort", "Protocol"},
	"Secrets": {"File.Name"},
	"Configs": {"File.Name"},
}

// compare adds the differences of two trees.
func compare(path string, a, b any, into *[]difference) {
	left, isMap := a.(map[string]any)
	right, both := b.(map[string]any)
	if isMap && both {
		keys := map[string]bool{}
		for key := range left {
			keys[key] = true
		}
		for key := range right {
			keys[key] = true
		}
		for key := range keys {
			compare(path+"/"+key, left[key], right[key], into)
		}
		return
	}
	first, isList := a.([]any)
	second, both := b.([]any)
	if isList && both && len(first) == len(second) {
		if by := unordered[path[strings.LastIndex(path, "/")+1:]]; by != nil {
			first, second = sortedBy(first, by), sortedBy(second, by)
		}
		for i := range first {
			compare(fmt.Sprintf("%s/%d", path, i), first[i], second[i], into)
		}
		return
	}
	if x, y := text(a), text(b); x != y {
		*into = append(*into, difference{path, x, y})
	}
}

func sortedBy(list []any, keys []string) []any {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b any) int {
		for _, key := range keys {
			if order := cmp.Compare(text(at(a, key)), text(at(b, key))); order != 0 {
				return order
			}
		}
		return 0
	})
	return list
}

func at(tree any, path string) any {
	for _, key := range strings.Split(path, ".") {
		below, _ := tree.(map[string]any)
		tree = below[key]
	}
	return tree
}

// text renders a value. Nothing, an empty list and an empty mapping are the same
// to the engine.
func text(value any) string {
	data, _ := json.Marshal(value)
	if s := string(data); s != "[]" && s != "{}" {
		return s
	}
	return "null"
}

// row explains differences: those at paths that match, with these values.
type row struct{ path, docker, keepmum, reason string }

// rows returns the table of README.md.
func rows(t *testing.T) []row {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	for _, line := range strings.Split(string(data), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) == 4 && strings.HasPrefix(cells[0], "`") {
			for i := range 3 {
				cells[i] = strings.ReplaceAll(strings.Trim(cells[i], "`"), `\|`, "|")
			}
			all = append(all, row{cells[0], cells[1], cells[2], cells[3]})
		}
	}
	if len(all) < 5 {
		t.Fatalf("README.md has only %d rows", len(all))
	}
	return all
}

// explains reports whether the row's three patterns match a difference.
func (r row) explains(d difference) bool {
	for _, one := range [][2]string{{r.path, d.path}, {r.docker, d.docker}, {r.keepmum, d.keepmum}} {
		if !regexp.MustCompile("^(?s:" + one[0] + ")$").MatchString(one[1]) {
			return false
		}
	}
	return true
}

// unexplained returns the differences of two stacks that no row explains, and
// counts the rows that were used.
func unexplained(table []row, used []int, a, b result) []difference {
	var all, left []difference
	for section, pair := range map[string][2]map[string]any{
		"services": {a.Services, b.Services}, "networks": {a.Networks, b.Networks},
		"configs": {a.Configs, b.Configs}, "external networks": {a.External, b.External},
	} {
		compare(section, pair[0], pair[1], &all)
	}
	for _, d := range all {
		if i := slices.IndexFunc(table, func(r row) bool { return r.explains(d) }); i >= 0 {
			used[i]++
		} else {
			left = append(left, d)
		}
	}
	slices.SortFunc(left, func(a, b difference) int { return cmp.Compare(a.path, b.path) })
	return left
}

func TestConvert_DiffersFromDockerOnlyByTheTable(t *testing.T) {
	table := rows(t)
	used := make([]int, len(table))
	accepted := 0
	for _, name := range stackFiles(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, data, dir, findings := read(t, name)
			if len(findings) > 0 {
				if filepath.Dir(name) == "testdata" {
					t.Fatalf("refused: %v", findings)
				}
				return // docs/STACK_FILES.md says why
			}
			accepted++
			theirs, err := byDocker(t, dir, data, environment())
			if err != nil {
				t.Fatalf("the docker command refuses it: %v", err)
			}
			mine, spec := byKeepmum(t, m, dir)
			bind(mine, spec, namesByDocker(m))
			for _, d := range unexplained(table, used, theirs, mine) {
				t.Errorf("no row explains %s", d)
			}
		})
	}
	if accepted < 15 {
		t.Errorf("only %d files were compared", accepted)
	}
	for i, r := range table {
		if used[i] == 0 {
			t.Errorf("a row that explains nothing: %s: %s", r.path, r.reason)
		}
	}
}

// TestRender_MakesWhatKeepmumMakes has the docker command convert what Render
// writes, without any variable. Only what it cannot know may differ.
func TestRender_MakesWhatKeepmumMakes(t *testing.T) {
	rendered := 0
	for _, name := range stackFiles(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, _, dir, findings := read(t, name)
			if len(findings) > 0 {
				return
			}
			mine, spec := byKeepmum(t, m, dir)
			o := ours.RenderOptions{Options: options(dir), Secrets: map[string]string{}, Configs: map[string]string{}}
			set := o.Lookup
			o.Lookup = func(name string) (string, bool) {
				value, found := set(name)
				return value, found && name != "SET" // Render refuses an empty value that the environment has
			}
			by := namesByDocker(m)
			for _, s := range spec.Secrets {
				if s.Fixed == "" {
					by.secrets[s.Name] = stack + "_" + s.Name + ".v7"
					o.Secrets[s.Name] = by.secrets[s.Name]
				}
			}
			for _, c := range spec.Configs {
				by.configs[c.Name] = stack + "_" + c.Name // the docker command makes it from its file
			}
			data, err := ours.Render(m, o)
			if err != nil {
				t.Fatal(err)
			}
			rendered++
			theirs, err := byDocker(t, dir, data, nil)
			if err != nil {
				t.Fatalf("the docker command refuses what was written: %v\n%s", err, data)
			}
			bind(mine, spec, by)
			table := []row{{".*/Labels/io.keepmum.stack", "null", ".*", "of keepmum's deploys only"}}
			for _, d := range unexplained(table, []int{0}, theirs, mine) {
				t.Errorf("differs at %s\n%s", d, data)
			}
		})
	}
	if rendered < 15 {
		t.Errorf("only %d files were rendered", rendered)
	}
}

// names are those in the Swarm of secrets and configs, by their declared names.
type names struct{ secrets, configs map[string]string }

// namesByDocker returns the names that the docker command gives.
func namesByDocker(m *manifest.Manifest) names {
	all := names{map[string]string{}, map[string]string{}}
	for _, d := range m.Secrets {
		if all.secrets[d.Name] = cmp.Or(d.SwarmName, d.Name); !d.External {
			all.secrets[d.Name] = stack + "_" + d.Name
		}
	}
	for key, c := range m.Model.Configs {
		switch {
		case m.Declares("configs", key, "name") || bool(c.External):
			all.configs[key] = c.Name
		default:
			all.configs[key] = stack + "_" + key
		}
	}
	return all
}

// bind sets the names and ids of secrets and configs as the rollout does, but
// with the given names.
func bind(all result, spec docker.StackSpec, by names) {
	external := map[string]bool{}
	for _, name := range spec.ExternalConfigs {
		external[name] = true
	}
	for _, s := range all.Services {
		secrets, _ := at(s, "TaskTemplate.ContainerSpec.Secrets").([]any)
		for _, one := range secrets {
			reference := one.(map[string]any)
			name := by.secrets[reference["SecretName"].(string)]
			reference["SecretName"], reference["SecretID"] = name, "id-of-"+name
		}
		configs, _ := at(s, "TaskTemplate.ContainerSpec.Configs").([]any)
		for _, one := range configs {
			reference := one.(map[string]any)
			name := reference["ConfigName"].(string)
			if !external[name] {
				name = by.configs[name]
			}
			reference["ConfigName"], reference["ConfigID"] = name, "id-of-"+name
		}
	}
	for key, content := range all.Configs {
		delete(all.Configs, key)
		all.Configs[by.configs[key]] = content
	}
}
