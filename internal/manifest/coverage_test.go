package manifest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	goodGit    = "/secrets/*\n!/secrets/README.md\n!/secrets/.gitignore\n!/secrets/*.example\n/.env\n/.keepmum/\n.*.tmp\n"
	goodDocker = "secrets\n.env\n.keepmum\n**/.*.tmp\n"
)

// uncoveredBy renders what Coverage finds: file and path.
func uncoveredBy(git, nested, docker string) string {
	var all []string
	for _, f := range Coverage(Ignores{Git: []byte(git), SecretsGit: []byte(nested), Docker: []byte(docker)}) {
		all = append(all, f.File+" "+f.Subject)
	}
	return strings.Join(all, "\n")
}

func TestCoverage(t *testing.T) {
	for _, c := range []struct{ name, git, nested, docker, want string }{
		{"good", goodGit, "", goodDocker, ""},
		{"nested file", "/.env\n.keepmum/\n.*.tmp\n", "*\n!.gitignore\n!README.md\n!*.example\n", goodDocker, ""},
		{"windows line ends and a byte order mark", "\uFEFF" + strings.ReplaceAll(goodGit, "\n", "\r\n"), "", goodDocker, ""},
		{"unanchored", ".env\n.keepmum\n.*.tmp\nsecrets/*\n!secrets/README.md\n!secrets/.gitignore\n!secrets/*.example\n", "", goodDocker, ""},
		{"comment is no rule", strings.Replace(goodGit, "/.env", "#/.env", 1), "", goodDocker, ".gitignore .env"},
		{"taken back in", goodGit + "!.env\n", "", goodDocker, ".gitignore .env"},
		{"folder hides the README", strings.Replace(goodGit, "/secrets/*", "/secrets/", 1), "", goodDocker, ".gitignore secrets/README.md\n.gitignore secrets/.gitignore\n.gitignore secrets/NAME.example"},
		{"only a folder called .env", strings.Replace(goodGit, "/.env", "/.env/", 1), "", goodDocker, ".gitignore .env"},
		{"elsewhere", strings.Replace(goodGit, "/.env", "/sub/.env", 1), "", goodDocker, ".gitignore .env"},
		{"no git file", "", "", goodDocker, ".gitignore secrets/NAME\n.gitignore secrets/.NAME.1.tmp\n.gitignore secrets/.previous/NAME\n.gitignore .env\n.gitignore .keepmum/key\n.gitignore .env.1.tmp"},
		{"no docker file", goodGit, "", "", ".dockerignore secrets/NAME\n.dockerignore secrets/.NAME.1.tmp\n.dockerignore secrets/.previous/NAME\n.dockerignore .env\n.dockerignore .keepmum/key\n.dockerignore .env.1.tmp\n.dockerignore deep/.NAME.1.tmp"},
		{"docker takes back in below a folder", goodGit, "", goodDocker + "!secrets/NAME\n", ".dockerignore secrets/NAME"},
		{"docker anchors", goodGit, "", "secrets\n.env\n.keepmum\n.*.tmp\n", ".dockerignore deep/.NAME.1.tmp"},
		{"docker everything", goodGit, "", "*\n", ""},
		{"docker everything but", goodGit, "", "*\n!.env\n", ".dockerignore .env"},
		{"docker slashes", goodGit, "", "/secrets/\n./.env\n.keepmum/\n**/.*.tmp\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := uncoveredBy(c.git, c.nested, c.docker); got != c.want {
				t.Errorf("uncovered:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// git itself is the judge of how a .gitignore is read.
func TestCoverageReadsAsGitDoes(t *testing.T) {
	dir := t.TempDir()
	git := func(arguments ...string) (string, error) {
		command := exec.CommandContext(t.Context(), "git", arguments...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
		out, err := command.Output()
		return strings.TrimSpace(string(out)), err
	}
	if _, err := git("init", "-q"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	rules := []string{"secrets/", "/secrets/*", "secrets", "*", "*.example", "!*.example", "!secrets/README.md", "!README.md", ".env", "/.env", "!.env", ".env*", "/.keepmum/", ".*.tmp", "**/.*.tmp", "secrets/**", "!/secrets/*.example", "# x", "", "!secrets/"}
	compared := 0
	rapid.Check(t, func(r *rapid.T) {
		root := strings.Join(rapid.SliceOfN(rapid.SampledFrom(rules), 0, 4).Draw(r, "root"), "\n")
		nested := strings.Join(rapid.SliceOfN(rapid.SampledFrom(rules), 0, 2).Draw(r, "nested"), "\n")
		if compared++; compared > 40 {
			return // each asks git, which is slow
		}
		for name, text := range map[string]string{".gitignore": root, "secrets/.gitignore": nested} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				r.Fatal(err)
			}
		}
		lines := append(ignoreLines(root, "", true), ignoreLines(nested, "secrets", true)...)
		for _, p := range probes(true) {
			out, _ := git("check-ignore", "--no-index", p.path)
			if got := covered(lines, p.path, true); got != (out == p.path) {
				r.Errorf("%s: ignored %v, git says %v", p.path, got, out == p.path)
			}
		}
	})
}
