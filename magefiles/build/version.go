package build

import (
	"embed"
	"runtime"
	"strings"

	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/fault"
)

// Set by the linker in a binary of build:binary, empty in one that mage compiles
// for a single run.
var (
	commit string // with "+modified" if the checkout differed from it
	date   string // of the commit, RFC 3339
)

// version is what the binary knows about its own build.
type version struct {
	Commit   string `json:"commit"`
	Date     string `json:"date"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// current returns the version of this binary.
func current() version {
	hash, modified := strings.CutSuffix(commit, "+modified")
	return version{Commit: hash, Date: date, Modified: modified, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// showVersion prints one line.
func showVersion(c *console.Console, v version) error {
	of := "not built by build:binary"
	if v.Commit != "" {
		of = v.Commit + " of " + v.Date
	}
	if v.Modified {
		of += ", modified"
	}
	return c.Print("keepmum %s, %s, %s", of, v.Go, v.Platform)
}

//go:embed completion.*
var completions embed.FS

// completionScript returns the script of a shell. It asks the binary for its
// targets each time, so that it never grows old.
func completionScript(shell string) (string, error) {
	script, err := completions.ReadFile("completion." + shell)
	if err != nil {
		return "", &fault.Error{Code: fault.Usage, What: "no completion for this shell: bash, zsh and fish have one", Next: "keepmum completion bash"}
	}
	return strings.TrimSuffix(string(script), "\n"), nil
}
