package build

import (
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

// completionScript returns the script of a shell. It asks the binary for its
// targets each time, so that it never grows old.
func completionScript(shell string) (string, error) {
	switch shell {
	case "bash":
		return bashCompletion, nil
	case "zsh":
		return zshCompletion, nil
	case "fish":
		return fishCompletion, nil
	}
	return "", &fault.Error{Code: fault.Usage, What: "no completion for this shell: bash, zsh and fish have one", Next: "keepmum completion bash"}
}

const bashCompletion = `# keepmum: completion for bash. source <(keepmum completion bash)
_keepmum() {
  local word words
  word=${COMP_WORDS[COMP_CWORD]}
  if [[ $word == -* && $COMP_CWORD -gt 1 ]]; then
    words=$("${COMP_WORDS[0]}" -h "${COMP_WORDS[1]}" 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p")
  else
    words=$("${COMP_WORDS[0]}" -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p')
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
complete -F _keepmum keepmum`

const zshCompletion = `#compdef keepmum
# keepmum: completion for zsh. source <(keepmum completion zsh)
_keepmum() {
  local -a targets
  if [[ $words[CURRENT] == -* && $CURRENT -gt 2 ]]; then
    targets=(${(f)"$($words[1] -h $words[2] 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p")"})
  else
    targets=(${(f)"$($words[1] -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p')"})
  fi
  compadd -- $targets
}
compdef _keepmum keepmum`

const fishCompletion = `# keepmum: completion for fish. keepmum completion fish | source
function __keepmum_words
  set -l tokens (commandline -opc)
  if string match -q -- '-*' (commandline -ct); and test (count $tokens) -gt 1
    $tokens[1] -h $tokens[2] 2>/dev/null | sed -n "s/^[[:space:]]*\(-[A-Za-z]*\)=.*/\1/p"
  else
    $tokens[1] -l 2>/dev/null | sed -n 's/^  *\([A-Za-z:]*\)\*\{0,1\} .*/\1/p'
  end
end
complete -c keepmum -f -a '(__keepmum_words)'`
