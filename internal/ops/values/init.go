package values

import (
	"bytes"
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

// Init makes what a project needs before its first value: secrets/ with
// its .gitignore, README and an example for each secret, .env.example, the
// ignore rules, and the key of DESIGN section 7. What is there stays.
type Init struct {
	Project project.Workspace
	Values  project.SecretStore

	ComposeFile string
	DryRun      bool
}

// InitResult tells which files were made, completed, or were there.
type InitResult struct {
	DryRun bool      `json:"dryRun"`
	Files  []InitRow `json:"files"`
}

// InitRow is one file.
type InitRow struct {
	Path   string `json:"path"`
	Change Change `json:"change"` // created, updated or unchanged
}

const secretsIgnore = `# Values are never committed. Only this file, the README and the examples are.
*
!.gitignore
!README.md
!*.example
`

const secretsReadme = `# secrets/

One file for each secret, named as the secret is. Values are never committed:
the .gitignore here lets only this text, itself and the examples through.

| to | run |
|---|---|
| make the files from a .env | ` + "`mage secrets:fromEnv`" + ` |
| set one, by a prompt that does not show it | ` + "`mage secrets:set NAME`" + ` |
| set one from a file | ` + "`mage secrets:set NAME < FILE`" + ` |
| make a random one | ` + "`mage secrets:generate NAME`" + ` |
| see how each stands | ` + "`mage secrets:list`" + ` |
| check every rule | ` + "`mage secrets:validate`" + ` |

The rules of each secret stand in the compose file, in its ` + "`x-keepmum`" + `.
The directory is 0700 and each value 0444: the directory keeps the host's other
users out, the file mode lets a container's user read its mount. A file that you
make by hand may end in a newline: the service would get it too, so validate
reports it.
`

// ignoreLines are what .gitignore and .dockerignore of the project must hold.
var ignoreLines = map[string][]string{
	".gitignore":    {"/.env", "/.env.*", "!/.env.example", "/.keepmum/", ".*.tmp"},
	".dockerignore": {"secrets/", ".env", ".env.*", ".keepmum/", "**/.*.tmp"},
}

// Run makes what is missing. Run twice it changes nothing.
func (u Init) Run(ctx context.Context) (InitResult, error) {
	result := InitResult{DryRun: u.DryRun, Files: []InitRow{}}
	m, err := project.LoadManifest(u.Project, u.ComposeFile)
	if err != nil {
		return result, err
	}
	if !u.DryRun {
		unlock, err := u.Values.Lock(ctx)
		if err != nil {
			return result, err
		}
		defer unlock()
	}
	files := map[string]string{"secrets/.gitignore": secretsIgnore, "secrets/README.md": secretsReadme}
	for _, d := range m.Secrets {
		files["secrets/"+d.Name+".example"] = string(d.Example())
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := u.make(path, []byte(files[path]), &result); err != nil {
			return result, err
		}
	}
	if err := u.complete(".env.example", envExample(m), &result); err != nil {
		return result, err
	}
	for _, path := range slices.Sorted(maps.Keys(ignoreLines)) {
		if err := u.complete(path, asSections(ignoreLines[path]), &result); err != nil {
			return result, err
		}
	}
	return result, u.key(&result)
}

// make writes a file that is missing.
func (u Init) make(path string, data []byte, result *InitResult) error {
	_, err := u.Project.Read(path)
	switch {
	case err == nil:
		result.Files = append(result.Files, InitRow{path, Unchanged})
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	result.Files = append(result.Files, InitRow{path, Created})
	if u.DryRun {
		return nil
	}
	_, err = u.Project.Scaffold(path, data)
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
		text := fmt.Sprintf("# %s (for %s)\n%s=\n", orElse(d.Description, "no description"), strings.Join(m.GrantedTo(d.Name), ", "), d.Name)
		sections = append(sections, section{d.Name + "=", text})
	}
	return sections
}

// orElse returns s, or other where s is empty.
func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// complete appends the sections that a file does not hold.
func (u Init) complete(path string, sections []section, result *InitResult) error {
	old, err := u.Project.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	missing := lacking(old, sections)
	switch {
	case missing == "":
		result.Files = append(result.Files, InitRow{path, Unchanged})
		return nil
	case err != nil:
		result.Files = append(result.Files, InitRow{path, Created})
	default:
		result.Files = append(result.Files, InitRow{path, Updated})
	}
	if u.DryRun {
		return nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	return u.Project.Replace(path, append(old, missing...))
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
func (u Init) key(result *InitResult) error {
	const path = ".keepmum/key"
	if u.DryRun {
		change := Unchanged
		if _, err := u.Project.Key(); err != nil {
			change = Created
		}
		result.Files = append(result.Files, InitRow{path, change})
		return nil
	}
	made, err := u.Project.MakeKey()
	if err != nil {
		return err
	}
	change := Unchanged
	if made {
		change = Created
	}
	result.Files = append(result.Files, InitRow{path, change})
	return nil
}
