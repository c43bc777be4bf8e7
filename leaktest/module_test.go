package leaktest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// root is the module that this one is made with. A user of this module gets the
// version that go.mod requires: what go.mod replaces holds in a checkout alone.
const root = "github.com/keepmum/keepmum"

// required returns the version of the root module that go.mod requires.
func required(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var file struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	for _, one := range file.Require {
		if one.Path == root {
			return one.Version
		}
	}
	t.Fatalf("go.mod does not require %s", root)
	return ""
}

// pseudo is the version of a commit without a tag before it, as `go help
// goproxy` and the reference of modules describe it: time in UTC, and the first
// twelve digits of the commit.
var pseudo = regexp.MustCompile(`^v0\.0\.0-(\d{14})-([0-9a-f]{12})$`)

// checkVersion returns what is wrong with a version that is to be the one of a
// commit on the way to HEAD.
func checkVersion(version string, git func(args ...string) (string, error)) error {
	parts := pseudo.FindStringSubmatch(version)
	if parts == nil {
		return fmt.Errorf("%s is no version of a commit: nobody else can get it", version)
	}
	if git == nil {
		return nil
	}
	shallow, err := git("rev-parse", "--is-shallow-repository")
	if err != nil {
		return err
	}
	made, err := git("log", "-1", "--date=format-local:%Y%m%d%H%M%S", "--format=%cd", parts[2])
	if err != nil {
		if shallow == "true" {
			return nil // what came before is not here
		}
		return fmt.Errorf("%s is no commit of this repository", parts[2])
	}
	if made != parts[1] {
		return fmt.Errorf("%s was made at %s, not %s: Go refuses the version", parts[2], made, parts[1])
	}
	if _, err := git("merge-base", "--is-ancestor", parts[2], "HEAD"); err != nil && shallow != "true" {
		return fmt.Errorf("%s is not on the way to HEAD: it may be gone for others", parts[2])
	}
	return nil
}

// gitHere asks the repository of the checkout. It is nil in a copy of the
// module that is none, such as Go's module cache.
func gitHere(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	if _, err := os.Stat("../.git"); os.IsNotExist(err) {
		return nil
	}
	return func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = append(os.Environ(), "TZ=UTC")
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
}

// TestOthersCanGetWhatIsRequired: go.mod names a commit that was published, not
// a version that stands for the checkout.
func TestOthersCanGetWhatIsRequired(t *testing.T) {
	git := gitHere(t)
	if err := checkVersion(required(t), git); err != nil {
		t.Errorf("go.mod: %v", err)
	}
	if git == nil {
		t.Log("this is no repository: the form of the version was checked")
	}
}

// TestAVersionNobodyCanGetIsRefused in each way that it can be wrong.
func TestAVersionNobodyCanGetIsRefused(t *testing.T) {
	const time, commit = "20260102030405", "0123456789ab"
	answers := func(shallow, made string, known, ancestor bool) func(...string) (string, error) {
		return func(args ...string) (string, error) {
			switch {
			case args[0] == "rev-parse":
				return shallow, nil
			case args[0] == "log" && known && args[len(args)-1] == commit:
				return made, nil
			case args[0] == "merge-base" && ancestor && args[2] == commit && args[3] == "HEAD":
				return "", nil
			}
			return "", fmt.Errorf("git %s fails", args[0])
		}
	}
	whole := answers("false", time, true, true)
	for name, one := range map[string]struct {
		version string
		git     func(...string) (string, error)
		want    string // empty: it is taken
	}{
		"of an ancestor":         {"v0.0.0-" + time + "-" + commit, whole, ""},
		"no repository":          {"v0.0.0-" + time + "-" + commit, nil, ""},
		"of the checkout":        {"v0.0.0", nil, "is no version of a commit"},
		"too few digits":         {"v0.0.0-" + time + "-012345678", whole, "is no version of a commit"},
		"of another time":        {"v0.0.0-20260102030406-" + commit, whole, "was made at " + time},
		"of no commit":           {"v0.0.0-" + time + "-" + commit, answers("false", time, false, true), "is no commit"},
		"of another branch":      {"v0.0.0-" + time + "-" + commit, answers("false", time, true, false), "is not on the way to HEAD"},
		"shallow, not there":     {"v0.0.0-" + time + "-" + commit, answers("true", time, false, false), ""},
		"shallow, another time":  {"v0.0.0-20260102030406-" + commit, answers("true", time, true, false), "was made at"},
		"git that does not work": {"v0.0.0-" + time + "-" + commit, func(...string) (string, error) { return "", os.ErrPermission }, "permission"},
	} {
		err := checkVersion(one.version, one.git)
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v, want %q", name, err, one.want)
		}
	}
}
