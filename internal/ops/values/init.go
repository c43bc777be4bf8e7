package values

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// InitResult says which files were made, completed, or were there.
type InitResult struct {
	DryRun bool      `json:"dryRun"`
	Files  []InitRow `json:"files"`
}

// InitRow is one file.
type InitRow struct {
	Path   string         `json:"path"`
	Change project.Change `json:"change"` // created, updated or unchanged
}

const secretsIgnore = `# Values are never committed. Only this file, the README and the examples are.
*
!.gitignore
!README.md
!*.example
`

const secretsReadme = `# secrets/

One file per secret, with the name of the secret. Values are never committed:
the .gitignore here allows only itself, this text and the examples.

| to | run |
|---|---|
| create the files from a .env | ` + "`mage secrets:fromEnv`" + ` |
| set one, at a prompt that does not show it | ` + "`mage secrets:set NAME`" + ` |
| set one from a file | ` + "`mage secrets:set NAME < FILE`" + ` |
| generate a random one | ` + "`mage secrets:generate NAME`" + ` |
| see the state of each | ` + "`mage secrets:list`" + ` |
| check every rule | ` + "`mage secrets:validate`" + ` |

The rules of each secret are in the compose file, in its ` + "`x-keepmum`" + `.
The directory is 0700 and each value 0444: the directory keeps the host's other
users out, and the file mode lets a container's user read the mounted file. A
file that you create by hand may end in a newline: the service would get it too,
so validate reports it.
`

// ignoreLines are what .gitignore and .dockerignore of the project must hold.
var ignoreLines = map[string][]string{
	".gitignore":    {"/.env", "/.env.*", "!/.env.example", "/.keepmum/", ".*.tmp"},
	".dockerignore": {"secrets/", ".env", ".env.*", ".keepmum/", "**/.*.tmp"},
}

// Init makes what a project needs before its first value: secrets/ with its
// .gitignore, README and an example for each secret, .env.example, the ignore
// rules, and the key of DESIGN section 7. It adds what is missing and changes
// nothing that is there; run twice it changes nothing.
func (v *Values) Init(ctx context.Context, dryRun bool) (InitResult, error) {
	s := scaffold{workspace: v.Project.Workspace, result: InitResult{DryRun: dryRun}}
	state, err := v.Project.LoadManifest()
	if err != nil {
		return s.result, err
	}
	if dryRun {
		return s.result, s.make(state.Manifest)
	}
	_, err = v.Project.Store.Update(ctx, func(*project.Snapshot) (project.Batch, error) {
		return project.Batch{}, s.make(state.Manifest)
	})
	return s.result, err
}

// scaffold is one run of Init.
type scaffold struct {
	workspace project.Workspace
	result    InitResult
}

// note adds a file to the result.
func (s *scaffold) note(path string, change project.Change) {
	s.result.Files = append(s.result.Files, InitRow{path, change})
}

// make goes through all files.
func (s *scaffold) make(m *manifest.Manifest) error {
	files := map[string]string{"secrets/.gitignore": secretsIgnore, "secrets/README.md": secretsReadme}
	for _, d := range m.Secrets {
		files["secrets/"+d.Name+".example"] = string(d.Example())
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := s.file(path, []byte(files[path])); err != nil {
			return err
		}
	}
	if err := s.complete(".env.example", envExample(m)); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(ignoreLines)) {
		if err := s.complete(path, asSections(ignoreLines[path])); err != nil {
			return err
		}
	}
	return s.key()
}

// file writes a file that is missing.
func (s *scaffold) file(path string, data []byte) error {
	_, err := s.workspace.Read(path)
	switch {
	case err == nil:
		s.note(path, project.Unchanged)
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	s.note(path, project.Created)
	if s.result.DryRun {
		return nil
	}
	_, err = s.workspace.Scaffold(path, data)
	return err
}

// section is a line that a file must hold, with the text to append where it
// does not.
type section struct{ line, text string }

// asSections makes each line its own section.
func asSections(lines []string) []section {
	var sections []section
	for _, line := range lines {
		sections = append(sections, section{line, line + "\n"})
	}
	return sections
}

// envExample is a section for each secret: its description and an empty value.
func envExample(m *manifest.Manifest) []section {
	var sections []section
	for _, d := range m.Secrets {
		text := fmt.Sprintf("# %s (for %s)\n%s=\n", cmp.Or(d.Description, "no description"), strings.Join(m.GrantedTo(d.Name), ", "), d.Name)
		sections = append(sections, section{d.Name + "=", text})
	}
	return sections
}

// complete appends the sections that a file does not have.
func (s *scaffold) complete(path string, sections []section) error {
	old, err := s.workspace.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	missing := lacking(old, sections)
	switch {
	case missing == "":
		s.note(path, project.Unchanged)
		return nil
	case err != nil:
		s.note(path, project.Created)
	default:
		s.note(path, project.Updated)
	}
	if s.result.DryRun {
		return nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	return s.workspace.Replace(path, append(old, missing...))
}

// lacking returns the text of the sections whose line no line of data begins
// with.
func lacking(data []byte, sections []section) string {
	var missing strings.Builder
	for _, s := range sections {
		held := false
		for _, line := range strings.Split(string(data), "\n") {
			line = strings.TrimSpace(line)
			held = held || line == s.line || strings.HasSuffix(s.line, "=") && strings.HasPrefix(line, s.line)
		}
		if !held {
			missing.WriteString(s.text)
		}
	}
	return missing.String()
}

// key makes the project's key.
func (s *scaffold) key() error {
	_, made, err := s.workspace.Key(!s.result.DryRun)
	would := s.result.DryRun && errors.Is(err, fs.ErrNotExist)
	if err != nil && !would {
		return err
	}
	change := project.Unchanged
	if made || would {
		change = project.Created
	}
	s.note(".keepmum/key", change)
	return nil
}
