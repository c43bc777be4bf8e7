package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v4"
)

// errGaveUp stands for a panic of compose-go.
var errGaveUp = errors.New("compose-go gave up")

// silence turns compose-go's log off. It writes to the process-wide logger of
// logrus and quotes what it read; nothing else here should use that logger.
func silence() { logrus.SetOutput(io.Discard) }

// guarded calls into compose-go. A panic there is an error like any other: a
// compose file must not be able to stop the program.
func guarded(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errGaveUp
		}
	}()
	return call()
}

// askCompose has compose-go read the model. Where it refuses, the smallest part
// of the file that it refuses becomes a finding; where it accepts, its view of
// the services replaces ours. It reports whether compose-go accepts the file.
func (r *reader) askCompose() bool {
	project, err := r.load(r.model, false)
	if err != nil && r.standIn() {
		project, err = r.load(r.model, false)
	}
	if err == nil {
		r.takeServices(project)
		return true
	}
	unknown := unknownKeys(r.root, composeShape(), nil)
	model := clone(r.model).(map[string]any)
	for _, key := range unknown {
		next := didYouMean(last(key.keys), key.known, "take it away, or write it as x-"+last(key.keys)+" if it is for another program")
		r.add(key.line, subjectOf(key.keys), "unknown key "+key.path(), next)
		remove(model, key.keys)
	}
	if project, err = r.load(model, false); err == nil {
		r.takeServices(project)
		return false
	}
	r.blame(model)
	return false
}

// load hands a model to compose-go. alone leaves out the checks that concern
// several parts of the file, for a model that is only one part.
func (r *reader) load(model map[string]any, alone bool) (project *types.Project, err error) {
	silence()
	model = clone(model).(map[string]any) // compose-go changes what it is given
	if declared, ok := model["secrets"].(map[string]any); ok {
		for _, entry := range declared {
			if entry, ok := entry.(map[string]any); ok {
				delete(entry, RulesKey) // ours alone, and most of a large file
			}
		}
	}
	details := types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Config: model}},
		Environment: maps.Clone(r.environment),
	}
	if details.Environment == nil {
		details.Environment = types.Mapping{}
	}
	err = guarded(func() error {
		project, err = loader.LoadWithContext(context.TODO(), details, func(o *loader.Options) {
			o.SetProjectName(r.projectName(), true)
			o.SkipInclude = true
			o.SkipExtends = r.extendsElsewhere()
			o.SkipResolveEnvironment = true
			o.SkipResolveLabels = true
			o.ResolvePaths = false
			o.SkipConsistencyCheck = alone
			o.Profiles = []string{"*"}
		})
		return err
	})
	return project, err
}

// projectName is the project's name as compose-go wants it: a bad one is a
// finding of its own and must not hide others.
func (r *reader) projectName() string {
	name := loader.NormalizeProjectName(r.manifest.Project)
	if name == "" {
		return "project"
	}
	return name
}

// extendsElsewhere reports whether a service extends one of another file.
func (r *reader) extendsElsewhere() bool {
	services, _ := get(r.root, "services")
	for _, f := range fields(services) {
		extends, _ := get(f.value, "extends")
		if file, _ := get(extends, "file"); file.Kind != 0 {
			return true
		}
	}
	return false
}

// clone copies a model.
func clone(value any) any {
	switch value := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(value))
		for key, one := range value {
			copied[key] = clone(one)
		}
		return copied
	case map[any]any:
		copied := make(map[any]any, len(value))
		for key, one := range value {
			copied[key] = clone(one)
		}
		return copied
	case []any:
		copied := make([]any, len(value))
		for i, one := range value {
			copied[i] = clone(one)
		}
		return copied
	}
	return value
}

// remove takes the key at that place out of a model; [] in the place stands for
// every entry of a list.
func remove(value any, keys []string) {
	switch value := value.(type) {
	case map[string]any:
		if len(keys) == 1 {
			delete(value, keys[0])
		} else if len(keys) > 1 {
			remove(value[keys[0]], keys[1:])
		}
	case []any:
		for i, one := range value {
			if keys[0] == "[]" || keys[0] == strconv.Itoa(i) {
				remove(one, keys[1:])
			}
		}
	}
}

// maxBlame is how many parts of a refused file are tried.
const maxBlame = 400

// blame finds the smallest parts of a model that compose-go refuses: each
// entry of each section by itself, then each key of the entry. A part is to
// blame when the rest is accepted without it.
func (r *reader) blame(model map[string]any) {
	b := blamer{reader: r, left: maxBlame}
	for _, section := range slices.Sorted(maps.Keys(model)) {
		entries, isMap := model[section].(map[string]any)
		if !isMap || !slices.Contains([]string{"services", "secrets", "networks", "volumes", "configs"}, section) {
			b.part([]string{section}, model[section])
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			b.part([]string{section, name}, entries[name])
		}
	}
}

type blamer struct {
	*reader
	left int
}

// refused reports whether compose-go refuses one part by itself, and the error.
func (b *blamer) refused(keys []string, value any) error {
	if b.left--; b.left < 0 {
		return nil
	}
	var model any = value
	for _, key := range slices.Backward(keys) {
		model = map[string]any{key: model}
	}
	whole := model.(map[string]any)
	if whole["services"] == nil {
		whole["services"] = map[string]any{"placeholder": map[string]any{"image": "scratch"}}
	}
	_, err := b.load(whole, true)
	return err
}

// part blames one entry, or the keys in it that are at fault.
func (b *blamer) part(keys []string, value any) {
	err := b.refused(keys, value)
	if err == nil {
		return
	}
	body, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(body)) {
		rest := maps.Clone(body)
		delete(rest, key)
		// Alone with its key the entry fails, without it it passes, or fails for
		// another reason that is found at another key.
		only := map[string]any{key: body[key]}
		if keys[0] == "services" && key != "image" {
			only["image"] = "scratch"
		}
		if fault := b.refused(keys, only); fault != nil && (b.refused(keys, rest) == nil || keys[0] == "services") {
			b.report(append(keys[:len(keys):len(keys)], key), fault)
			err = nil
		}
	}
	if err != nil {
		b.report(keys, err)
	}
}

// blamed is a part of the file that compose-go refuses, and why.
type blamed struct {
	keys   []string
	reason string
}

// report notes one blamed place.
func (b *blamer) report(keys []string, err error) {
	b.blamed = append(b.blamed, blamed{keys, reasonOf(err)})
}

// addBlamed makes findings of the blamed places that no finding explains yet.
func (r *reader) addBlamed() {
	explained := slices.Clone(r.findings)
	for _, b := range r.blamed {
		first, last := r.linesOf(b.keys)
		inside := func(f Finding) bool { return f.Line >= first && f.Line <= last }
		if first > 0 && slices.ContainsFunc(explained, inside) {
			continue
		}
		r.add(first, subjectOf(b.keys), "Compose does not accept "+strings.Join(b.keys, ".")+b.reason,
			"see "+b.keys[len(b.keys)-1]+" in the reference of the Compose file, or what docker compose config -q says")
	}
}

// linesOf returns the first and last line of a place, 0 where the file has no
// such key. Of a place that came by an alias these are the lines of the anchor.
func (r *reader) linesOf(keys []string) (first, last int) {
	node := r.root
	for _, key := range keys {
		value, at := get(node, key)
		if at.Line == 0 {
			break
		}
		node, first = value, at.Line
	}
	return first, max(first, lastLine(node))
}

// lastLine returns the last line on which something of a node begins.
func lastLine(node *yaml.Node) int {
	line := node.Line
	for _, child := range node.Content {
		line = max(line, lastLine(child))
	}
	return line
}

// reasonOf returns the reason that compose-go gives where its text holds
// nothing of the file but the place: "must be a boolean" and the like.
func reasonOf(err error) string {
	text := err.Error()
	i := strings.LastIndex(text, " must be a ")
	if i < 0 {
		return ""
	}
	for _, word := range strings.FieldsFunc(text[i+len(" must be a "):], func(c rune) bool { return c == ' ' || c == ',' }) {
		if !slices.Contains([]string{"or", "mapping", "string", "boolean", "integer", "number", "array", "null"}, word) {
			return ""
		}
	}
	return ":" + strings.ReplaceAll(text[i:], "array", "list")
}

// subjectOf is what a finding at a place is about: the service or secret.
func subjectOf(keys []string) string {
	if len(keys) > 1 {
		return keys[1]
	}
	return last(keys)
}

// last returns the last key of a place.
func last(keys []string) string { return keys[len(keys)-1] }

// checkTopLevel reads the project's name and notes what keepmum does not follow.
func (r *reader) checkTopLevel() {
	if name, at := get(r.root, "name"); isText(name) {
		r.manifest.Project = name.Value
		if loader.NormalizeProjectName(name.Value) != name.Value && !strings.Contains(name.Value, "$") {
			r.add(at.Line, "name", "not a project name: small letters, digits, - and _ are allowed, and a letter or digit first", "write name: "+r.projectName())
		}
	}
	if include, at := get(r.root, "include"); !isNull(include) {
		r.add(at.Line, "include", "the manifest is one file; what it includes is not looked at", "put the secrets and services of the other file here")
	}
	if jobs, at := get(r.root, "jobs"); !isNull(jobs) {
		r.add(at.Line, "jobs", "keepmum reads services, not jobs", "make each job a service that ends")
	}
	for _, section := range []string{"networks", "volumes"} {
		var names []string
		declared, _ := get(r.root, section)
		for _, f := range fields(declared) {
			names = append(names, f.name())
		}
		slices.Sort(names)
		if section == "networks" {
			r.manifest.Networks = names
		} else {
			r.manifest.Volumes = names
		}
	}
	services, at := get(r.root, "services")
	if len(fields(services)) == 0 {
		r.add(at.Line, "services", "the compose file has no services", "write services: and below it a name with image:")
	}
	for _, f := range fields(services) {
		extends, extendsAt := get(f.value, "extends")
		if file, _ := get(extends, "file"); file.Kind != 0 {
			r.add(extendsAt.Line, f.name(), "extends a service of another file, whose grants are not looked at", "write the service out")
		}
	}
}

// checkReferences finds names that services use and nobody declares.
func (r *reader) checkReferences() {
	services, _ := get(r.root, "services")
	var names []string
	for _, f := range fields(services) {
		names = append(names, f.name())
	}
	for _, f := range fields(services) {
		for _, use := range []struct {
			key, section string
			known        []string
		}{
			{"depends_on", "services", names},
			{"networks", "networks", append([]string{"default"}, r.manifest.Networks...)},
		} {
			value, _ := get(f.value, use.key)
			for _, name := range namesIn(value) {
				if !slices.Contains(use.known, name.Value) {
					r.add(name.Line, f.name(), fmt.Sprintf("%s names %s, which is not under %s:", use.key, name.Value, use.section), didYouMean(name.Value, use.known, "declare it under the top-level "+use.section+":, or take the name away"))
				}
			}
		}
		volumes, _ := get(f.value, "volumes")
		for _, item := range items(volumes) {
			if name, at := volumeName(item); name != "" && !slices.Contains(r.manifest.Volumes, name) {
				r.add(at, f.name(), "mounts the volume "+name+", which is not under volumes:", didYouMean(name, r.manifest.Volumes, "write "+name+": under the top-level volumes:"))
			}
		}
	}
}

// namesIn returns the names of a list or the keys of a mapping.
func namesIn(node *yaml.Node) []*yaml.Node {
	var names []*yaml.Node
	for _, item := range items(node) {
		if isText(item) {
			names = append(names, item)
		}
	}
	for _, f := range fields(node) {
		names = append(names, f.key)
	}
	return names
}

// volumeName returns the named volume of an entry of volumes:, "" for a path.
func volumeName(item *yaml.Node) (string, int) {
	if item.Kind == yaml.MappingNode {
		kind, _ := get(item, "type")
		source, at := get(item, "source")
		if kind.Value == "volume" {
			return source.Value, at.Line
		}
		return "", 0
	}
	source, _, found := strings.Cut(item.Value, ":")
	if !found || strings.ContainsAny(source, "/\\.~$") || len(source) == 1 {
		return "", 0
	}
	return source, item.Line
}
