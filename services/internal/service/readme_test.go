package service

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of settings in the README names every variable that a service
// reads, and its default, and no other.
func TestReadmeNamesEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z_]+) \| ([^|]*) \|`).FindAllStringSubmatch(string(readme), -1) {
		table[row[1]] = row[2]
	}
	code := settings(t)
	if len(code) < 10 {
		t.Fatalf("only %d settings found in the code", len(code))
	}
	for name, defaults := range code {
		for _, one := range defaults {
			if !slices.Contains(strings.Split(table[name], ", "), one) {
				t.Errorf("%s: the README says %q, the code %q", name, table[name], one)
			}
		}
	}
	for name := range table {
		if _, ok := code[name]; !ok {
			t.Errorf("%s is in the README and not in the code", name)
		}
	}
}

// settings reads the tags of all services, and the two settings of the kit.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{"LOG_LEVEL": {"info"}, "HEALTH_ADDRESS": {"127.0.0.1:8081"}}
	tag := regexp.MustCompile("`env:\"([A-Z_]+)(?:,default=([^\"]*))?\"`\n")
	services := os.DirFS("../..")
	err := fs.WalkDir(services, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(services, path)
		for _, match := range tag.FindAllStringSubmatch(string(source), -1) {
			found[match[1]] = append(found[match[1]], map[bool]string{true: "must be set", false: match[2]}[match[2] == ""])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
