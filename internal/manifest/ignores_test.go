package manifest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
)

// declaring is a manifest that declares the secrets.
func declaring(names ...string) *Manifest {
	m := &Manifest{}
	for _, name := range names {
		m.Secrets = append(m.Secrets, Declaration{Name: name})
	}
	return m
}

// ignoreTexts renders findings of an ignore file: problem and next edit.
func ignoreTexts(t *testing.T, file string, findings []fault.Finding) []string {
	t.Helper()
	var texts []string
	for _, f := range findings {
		if f.File != file || f.Line != 0 || f.Subject != "" {
			t.Errorf("finding is about %s:%d %s", f.File, f.Line, f.Subject)
		}
		texts = append(texts, f.Problem+" > "+f.Next)
	}
	return texts
}

// The texts that several tests expect.
const (
	dockerSecrets = "does not cover values in secrets/ and temporary files of secrets/: add the line secrets/ > mage secrets:init"
	dockerValues  = "does not cover values in secrets/: a later line includes it again; move the line secrets/ to the end > edit it, then mage secrets:validate"
	dockerEnv     = "does not cover .env: add the line .env > mage secrets:init"
	dockerKey     = "does not cover the key in .keepmum/: add the line .keepmum/ > mage secrets:init"
	dockerTmp     = "does not cover temporary files of .env: add the line **/.*.tmp > mage secrets:init"
	dockerBad     = "has a line that Docker does not accept as a pattern > correct it: see .dockerignore in Docker's documentation"

	gitSecrets = "does not cover values in secrets/ and temporary files of secrets/: add the line /secrets/* > mage secrets:init"
	gitEnv     = "does not cover .env: add the line /.env > mage secrets:init"
	gitKey     = "does not cover the key in .keepmum/: add the line /.keepmum/ > mage secrets:init"
	gitTmp     = "does not cover temporary files of .env: add the line .*.tmp > mage secrets:init"
)

func TestCheckDockerignore(t *testing.T) {
	const good = "secrets/\n.env\n.keepmum/\n**/.*.tmp\n"
	for _, c := range []struct {
		name, data string
		want       []string
	}{
		{"good", good, nil},
		{"no file", "", []string{dockerSecrets, dockerEnv, dockerKey, dockerTmp}},
		{"windows line ends and a byte order mark", "\uFEFF" + strings.ReplaceAll(good, "\n", "\r\n"), nil},
		{"everything", "*\n", nil},
		{"everything, any depth", "**\n", nil},
		{"everything but .env", "*\n!.env\n", []string{dockerEnv}},
		{"slashes and blanks", " /secrets/ \n./.env\n.keepmum\n**/.*.tmp", nil},
		{"comments are not patterns", "secrets/\n#.env\n.keepmum/\n**/.*.tmp\n", []string{dockerEnv}},
		{"only the root's temporary files", "secrets/\n.env\n.keepmum/\n.*.tmp\n", []string{dockerTmp}},
		{"a folder elsewhere", "app/secrets/\n.env\n.keepmum/\n**/.*.tmp\n", []string{
			"does not cover values in secrets/: add the line secrets/ > mage secrets:init"}},
		{"only values", "secrets/*\n!secrets/.*\n.env\n.keepmum/\n**/.*.tmp\n", []string{
			"does not cover values in secrets/: add the line secrets/ > mage secrets:init"}},
		{"one value is taken back in", good + "!secrets/API_KEY\n", []string{dockerValues}},
		{"a value of another name is taken back in", good + "!secrets/OTHER\n", nil},
		{"not a pattern", good + "[a-\n", []string{dockerBad}},
		{"not a pattern, found late", "[z-a]\n" + good, []string{dockerBad}},
		{"nothing to take back in", good + "!\n", []string{dockerBad}},
		{"a line without an end", good + strings.Repeat("x", 1<<17), []string{dockerBad}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ignoreTexts(t, ".dockerignore", declaring("API_KEY", "TOKEN").CheckDockerignore([]byte(c.data)))
			if !slices.Equal(got, c.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestCheckGitignore_ByLines(t *testing.T) {
	const good = "/secrets/*\n/.env\n/.keepmum/\n.*.tmp\n"
	for _, c := range []struct {
		name, root, nested string
		want               []string
	}{
		{"good", good, "", nil},
		{"no file", "", "", []string{gitSecrets, gitEnv, gitKey, gitTmp}},
		{"windows line ends and a byte order mark", "\uFEFF" + strings.ReplaceAll(good, "\n", "\r\n"), "", nil},
		{"without the first slash", strings.ReplaceAll("\n"+good, "\n/", "\n"), "", nil},
		{"a file in secrets/", "/.env\n/.keepmum/\n.*.tmp\n", "# values\n*\n!README.md\n", nil},
		{"the folder", strings.Replace(good, "/secrets/*", "secrets/", 1), "", nil},
		{"the folder without a slash", strings.Replace(good, "/secrets/*", "/secrets", 1), "", nil},
		{"another folder", strings.Replace(good, "/secrets/*", "/secrets2/*", 1), "", []string{gitSecrets}},
		{"comment", strings.Replace(good, "/.env", "#/.env", 1), "", []string{gitEnv}},
		{"longer name", strings.Replace(good, "/.env", "/.env.local", 1), "", []string{gitEnv}},
		{"key only", "/.keepmum/key\n", "*", []string{gitEnv, gitKey, gitTmp}},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, err := declaring("API_KEY").CheckGitignore([]byte(c.root), []byte(c.nested), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := ignoreTexts(t, ".gitignore", findings); !slices.Equal(got, c.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestCheckGitignore_AsksForTheDeclaredNames(t *testing.T) {
	for _, c := range []struct {
		m    *Manifest
		want []string
	}{
		{declaring("API_KEY", "TOKEN"), []string{
			"secrets/API_KEY", "secrets/TOKEN", "secrets/.previous/API_KEY", "secrets/.previous/TOKEN", "secrets/.API_KEY.1.tmp", "secrets/.TOKEN.1.tmp",
			".env", ".keepmum/key", ".env.1.tmp", "secrets/README.md", "secrets/.gitignore", "secrets/API_KEY.example", "secrets/TOKEN.example",
		}},
		{declaring(), []string{
			"secrets/NAME", "secrets/.previous/NAME", "secrets/.NAME.1.tmp", ".env", ".keepmum/key", ".env.1.tmp", "secrets/README.md", "secrets/.gitignore", "secrets/NAME.example",
		}},
	} {
		var asked []string
		_, err := c.m.CheckGitignore(nil, nil, func(paths []string) ([]string, error) { asked = append(asked, paths...); return nil, nil })
		if err != nil || !slices.Equal(asked, c.want) {
			t.Errorf("asked for %q, %v; want %q", asked, err, c.want)
		}
	}
}

func TestCheckGitignore_ByAnswers(t *testing.T) {
	covered := []string{"secrets/A", "secrets/B", "secrets/.previous/A", "secrets/.previous/B", "secrets/.A.1.tmp", "secrets/.B.1.tmp", ".env", ".keepmum/key", ".env.1.tmp"}
	without := func(path string) []string {
		return slices.DeleteFunc(slices.Clone(covered), func(one string) bool { return one == path })
	}
	const clone = " > edit it (/secrets/* instead of /secrets/, which would hide the folder as a whole), then mage secrets:validate"
	for _, c := range []struct {
		name, root string
		covered    []string
		want       []string
	}{
		{"all", "", covered, nil},
		{"none", "", nil, []string{gitSecrets, gitEnv, gitKey, gitTmp}},
		{"a value", "", without("secrets/B"), []string{"does not cover values in secrets/: add the line /secrets/* > mage secrets:init"}},
		{"an older value", "", without("secrets/.previous/A"), []string{"does not cover values in secrets/: add the line /secrets/* > mage secrets:init"}},
		{"a temporary file", "", without("secrets/.A.1.tmp"), []string{"does not cover temporary files of secrets/: add the line /secrets/* > mage secrets:init"}},
		{".env", "/secrets/*\n", without(".env"), []string{gitEnv}},
		{".env, included again", "/.env\n!.env\n", without(".env"), []string{
			"does not cover .env: a later line includes it again; move the line /.env to the end > edit it, then mage secrets:validate"}},
		{"the key", "", without(".keepmum/key"), []string{gitKey}},
		{"a temporary .env", "", without(".env.1.tmp"), []string{gitTmp}},
		{"the folder as a whole", "/secrets/\n", append(slices.Clone(covered), "secrets/README.md", "secrets/.gitignore", "secrets/A.example", "secrets/B.example"), []string{
			"covers secrets/README.md, which a clone needs: add the line !/secrets/README.md" + clone,
			"covers secrets/.gitignore, which a clone needs: add the line !/secrets/.gitignore" + clone,
			"covers examples of secrets/, which a clone needs: add the line !/secrets/*.example" + clone,
		}},
		{"one example", "", append(slices.Clone(covered), "secrets/B.example"), []string{
			"covers examples of secrets/, which a clone needs: add the line !/secrets/*.example" + clone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, err := declaring("A", "B").CheckGitignore([]byte(c.root), []byte("*\n"), func([]string) ([]string, error) { return c.covered, nil })
			if err != nil {
				t.Fatal(err)
			}
			if got := ignoreTexts(t, ".gitignore", findings); !slices.Equal(got, c.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestCheckGitignore_ReturnsTheErrorOfTheAnswer(t *testing.T) {
	findings, err := declaring("A").CheckGitignore(nil, nil, func([]string) ([]string, error) { return nil, io.ErrClosedPipe })
	if !errors.Is(err, io.ErrClosedPipe) || findings != nil {
		t.Errorf("%v, %d findings", err, len(findings))
	}
}
