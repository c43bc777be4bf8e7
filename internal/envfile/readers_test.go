package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
	"github.com/sirupsen/logrus"

	"github.com/keepmum/keepmum/internal/fault"
)

// wholeCompose reads a whole file with compose-go, as Compose does, without the
// environment of the host. Its log is dropped.
func wholeCompose(data []byte) (vars map[string]string, ok bool) {
	logger := logrus.StandardLogger()
	defer logger.SetOutput(logger.Out)
	logger.SetOutput(io.Discard)
	defer func() {
		if recover() != nil {
			vars, ok = nil, false
		}
	}()
	vars, err := dotenv.Parse(bytes.NewReader(data))
	return vars, err == nil
}

// wholeGodotenv reads a whole file with godotenv.
func wholeGodotenv(data []byte) (vars map[string]string, ok bool) {
	defer func() {
		if recover() != nil {
			vars, ok = nil, false
		}
	}()
	vars, err := godotenv.Parse(bytes.NewReader(data))
	return vars, err == nil
}

// shellScript sources a file and prints the variables it exports, each ended by
// NUL.
const shellScript = `__file=$1; shift; set -a; . "$__file"; set +a
while IFS= read -r n; do printf '%s=%s\0' "$n" "${!n}"; done < <(compgen -e)`

// wholeShell sources a file with bash. ok is false if it reports an error.
func wholeShell(t *testing.T, data []byte) (vars map[string]string, ok bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-c", shellScript, "bash", path)
	cmd.Env = []string{"PATH=/nowhere", "LC_ALL=C", "HOME=/home/u", "USER=fromhost", "HOST_VAR=fromhost"}
	cmd.Dir = "/" // bash prints it if a file has export without a name
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("bash is required by this test: %v", err)
	}
	vars = map[string]string{}
	for _, pair := range strings.Split(strings.TrimSuffix(stdout.String(), "\x00"), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "", "PATH", "LC_ALL", "HOME", "USER", "HOST_VAR", "PWD", "OLDPWD", "SHLVL", "_":
		default:
			if bytes.Contains(data, []byte("$$")) {
				value = strings.ReplaceAll(value, fmt.Sprint(cmd.Process.Pid), "PID")
			}
			vars[name] = value
		}
	}
	return vars, err == nil && stderr.Len() == 0
}

// render returns a reading as KEY=‹value›, sorted by name.
func render(vars map[string]string) string {
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	sort.Strings(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, name+"=‹"+vars[name]+"›")
	}
	return strings.Join(parts, " ")
}

// reasonNames are the words for reasons in the corpus.
func reasonNames() map[reason]string {
	return map[reason]string{
		reasonName: "name", reasonBase64: "base64", reasonNameBlank: "nameBlank", reasonBare: "bare", reasonUnterminated: "unterminated",
		reasonMispaired: "mispaired", reasonPEM: "pem", reasonAfterQuote: "afterQuote", reasonColon: "colon", reasonGlued: "glued",
		reasonLoneCR: "loneCR", reasonQuoteEscape: "quoteEscape", reasonNUL: "nul", reasonUTF8: "utf8",
		reasonTooLarge: "tooLarge", reasonDuplicate: "duplicate", reasonPanic: "panic", reasonDollar: "dollar",
		reasonEscape: "escape", reasonComment: "comment", reasonBlank: "blank", reasonComposeRefuses: "composeRefuses",
		reasonComposeUnknown: "composeUnknown", reasonBothOptions: "bothOptions", reasonNotInFile: "notInFile",
		reasonUTF16: "utf16",
	}
}

// reasonOf finds the reason of a problem. That proves that its messages contain
// nothing variable except the key and line numbers.
func reasonOf(t testing.TB, p fault.Finding) reason {
	t.Helper()
	for f := noReason + 1; f < reasonCount; f++ {
		for first := range p.Line + 1 {
			if p == f.problem(p.File, p.Line, first, p.Subject) {
				return f
			}
			if f != reasonDuplicate {
				break
			}
		}
	}
	t.Fatalf("line %d: a problem that matches no reason", p.Line)
	return noReason
}

// outcome returns the result of Parse in the notation of the corpus.
func outcome(t testing.TB, entries []Entry, problems []fault.Finding) string {
	t.Helper()
	var parts []string
	for _, e := range entries {
		mark := ""
		if e.Note != "" {
			mark = "~"
		}
		parts = append(parts, e.Key+"=‹"+e.Value.RevealString()+"›"+mark)
	}
	for _, p := range problems {
		parts = append(parts, fmt.Sprintf("%d:%s:%s", p.Line, p.Subject, reasonNames()[reasonOf(t, p)]))
	}
	return strings.Join(parts, " ")
}
