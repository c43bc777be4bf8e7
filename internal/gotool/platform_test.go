package gotool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTypeCheck_FindsFaultsPerPlatform: code that does not compile for one
// platform is found there, inside functions too, and on no other platform.
func TestTypeCheck_FindsFaultsPerPlatform(t *testing.T) {
	for name, one := range map[string]struct {
		files map[string]string
		fault string // on Windows; empty: none
	}{
		"all is well":          {map[string]string{"a.go": "package a\n\nimport \"net/http\"\n\nfunc A() *http.Client { return http.DefaultClient }\n"}, ""},
		"an undefined name":    {map[string]string{"a.go": "package a\n\nfunc A() int { return b }\n", "b_unix.go": "//go:build unix\n\npackage a\n\nconst b = 1\n"}, "undefined: b"},
		"a wrong type":         {map[string]string{"a_windows.go": "package a\n\nfunc A() int { return \"\" }\n", "a.go": "package a\n"}, "cannot use"},
		"an import not used":   {map[string]string{"a_windows.go": "package a\n\nimport \"os\"\n", "a.go": "package a\n"}, "imported and not used"},
		"a variable not used":  {map[string]string{"a_windows.go": "package a\n\nfunc A() { b := 1 }\n", "a.go": "package a\n"}, "declared and not used"},
		"a member of Unix":     {map[string]string{"a_windows.go": "package a\n\nimport \"syscall\"\n\nvar A = syscall.SIGUSR1\n", "a.go": "package a\n"}, "undefined: syscall.SIGUSR1"},
		"a constant too large": {map[string]string{"a_windows.go": "package a\n\nvar A int32 = 1 << 40\n", "a.go": "package a\n"}, "overflows"},
		"a newer language":     {map[string]string{"a_windows.go": "package a\n\nfunc A() { for range 3 {} }\n", "a.go": "package a\n"}, "requires go1.22"},
		"syntax":               {map[string]string{"a_windows.go": "package a\n\nfunc {\n", "a.go": "package a\n"}, "a_windows.go"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			one.files["go.mod"] = "module probe\n\ngo 1.21\n"
			for file, text := range one.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := typeCheck(t.Context(), dir, "linux", "amd64", "./..."); err != nil {
				t.Errorf("on Linux: %v", err)
			}
			err := typeCheck(t.Context(), dir, "windows", "arm64", "./...")
			if (err == nil) != (one.fault == "") || err != nil && !strings.Contains(err.Error(), one.fault) {
				t.Errorf("on Windows: %v, want %q", err, one.fault)
			}
		})
	}
	if err := typeCheck(t.Context(), "../..", "linux", "amd64", "fmt"); err == nil || !strings.Contains(err.Error(), "no package of this module") {
		t.Errorf("only others' packages: %v", err)
	}
}
