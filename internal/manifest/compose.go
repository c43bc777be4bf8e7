package manifest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// errGaveUp replaces a panic of a library.
var errGaveUp = errors.New("the library gave up")

// silence turns off compose-go's log, which goes to the process-wide logger of
// logrus and quotes the file. Nothing else here uses that logger.
func silence() { logrus.SetOutput(io.Discard) }

// guarded calls compose-go or the YAML library. A panic there is an error like
// any other: a compose file must not be able to stop the program.
func guarded(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errGaveUp
		}
	}()
	return call()
}

// askCompose has compose-go read the model. If it accepts it, its view becomes
// the manifest's Model and services. If not, the unknown keys become findings,
// and refused is the model that it refuses also without them; nil: there is none.
func (r *reader) askCompose() (refused map[string]any) {
	project, err := r.load(r.model, false)
	if err == nil {
		r.manifest.Model = project
	} else if r.standIn() {
		if project, err = r.load(r.model, false); err == nil && r.swarm {
			r.requireVariables()
		}
	}
	if err == nil {
		r.takeServices(project)
		return nil
	}
	model := clone(r.model).(map[string]any)
	for _, key := range unknownKeys(r.root, composeShape(), nil) {
		next := didYouMean(last(key.keys), key.known, "remove it, or rename it to x-"+last(key.keys)+" if another program reads it")
		r.add(key.line, subjectOf(key.keys), "unknown key "+strings.Join(key.keys, "."), next)
		remove(model, key.keys)
	}
	if project, err = r.load(model, false); err == nil {
		r.takeServices(project)
		return nil
	}
	return model
}

// load hands a model to compose-go. alone leaves out the checks that concern
// several parts of the file, for a model that is only one part.
func (r *reader) load(model map[string]any, alone bool) (project *types.Project, err error) {
	silence()
	model = clone(model).(map[string]any) // compose-go changes what it is given
	if declared, ok := model["secrets"].(map[string]any); ok {
		for _, entry := range declared {
			if entry, ok := entry.(map[string]any); ok {
				delete(entry, RulesKey) // Compose ignores it, and it is most of a large file
			}
		}
	}
	details := types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Config: model}},
		Environment: maps.Clone(r.environment),
	}
	err = guarded(func() error {
		// Nothing here waits or can be stopped: compose-go needs a context only for
		// its caches.
		project, err = loader.LoadWithContext(context.TODO(), details, func(o *loader.Options) {
			o.SetProjectName(r.projectName(), true)
			o.SkipInclude = true
			o.SkipExtends = r.extendsElsewhere
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

// projectName is the project's name as compose-go accepts it: a bad one has its
// own finding and must not hide others.
func (r *reader) projectName() string {
	return cmp.Or(loader.NormalizeProjectName(r.manifest.Project), "project")
}

// clone copies a model deeply.
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

// remove removes the key at a place from a model; [] in the place means every
// entry of a list.
func remove(value any, keys []string) {
	switch value := value.(type) {
	case map[string]any:
		if len(keys) == 1 {
			delete(value, keys[0])
		} else if len(keys) > 1 {
			remove(value[keys[0]], keys[1:])
		}
	case []any:
		for _, one := range value {
			if keys[0] == "[]" {
				remove(one, keys[1:])
			}
		}
	}
}
