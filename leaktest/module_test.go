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

// root is the main module of this project. A user of leaktest gets the version of
// it that go.mod requires: the replacement in go.mod works only in a checkout.
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

// pseudo is the version of a commit that has no tag before it, as in the Go
// modules reference: time in UTC, and the first twelve digits of the commit.
var pseudo = regexp.MustCompile(`^v0\.0\.0-(\d{14})-([0-9a-f]{12})$`)

// checkVersion reports what is wrong with a version, which must be that of HEAD or
// of an ancestor.
func checkVersion(version string, git func(args ...string) (string, error)) error {
	parts := pseudo.FindStringSubmatch(version)
	if parts == nil {
		return fmt.Errorf("%s is not the version of a commit: others cannot get it", version)
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
			return nil // earlier commits are not here
		}
		return fmt.Errorf("%s is not a commit of this repository", parts[2])
	}
	if made != parts[1] {
		return fmt.Errorf("%s was made at %s, not %s: Go refuses the version", parts[2], made, parts[1])
	}
	if _, err := git("merge-base", "--is-ancestor", parts[2], "HEAD"); err != nil && shallow != "true" {
		return fmt.Errorf("%s is not an ancestor of HEAD: others may not find it", parts[2])
	}
	return nil
}

// gitHere returns a function that runs git in the checkout. It returns nil if
// this is not a checkout but, say, Go's module cache.
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

// TestModuleRequiresPublishedVersion of the main module: a commit, not a version
// that only means the checkout.
func TestModuleRequiresPublishedVersion(t *testing.T) {
	git := gitHere(t)
	if err := checkVersion(required(t), git); err != nil {
		t.Errorf("go.mod: %v", err)
	}
	if git == nil {
		t.Log("this is not a repository: only the form of the version was checked")
	}
}

// TestModuleVersionIsChecked for each way in which it can be wrong.
func TestModuleVersionIsChecked(t *testing.T) {
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
		want    string // empty: accepted
	}{
		"of an ancestor":         {"v0.0.0-" + time + "-" + commit, whole, ""},
		"no repository":          {"v0.0.0-" + time + "-" + commit, nil, ""},
		"of the checkout":        {"v0.0.0", nil, "is not the version of a commit"},
		"too few digits":         {"v0.0.0-" + time + "-012345678", whole, "is not the version of a commit"},
		"of another time":        {"v0.0.0-20260102030406-" + commit, whole, "was made at " + time},
		"of no commit":           {"v0.0.0-" + time + "-" + commit, answers("false", time, false, true), "is not a commit"},
		"of another branch":      {"v0.0.0-" + time + "-" + commit, answers("false", time, true, false), "is not an ancestor of HEAD"},
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

// TestModuleIsLight: the package brings none of these along, nor testcontainers,
// which brings some of them. Tests may.
func TestModuleIsLight(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 200 || packages[len(packages)-1] != root+"/leaktest" {
		t.Fatalf("go list -deps lists %d packages: that is not this one with its dependencies", len(packages))
	}
	for _, one := range packages {
		for _, heavy := range []string{"compose-go", "godotenv", "yaml", "jsonschema", "logrus", "testcontainers"} {
			if strings.Contains(one, heavy) {
				t.Errorf("leaktest depends on %s", one)
			}
		}
	}
}
