package envfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// ErrNoForm tells that no line of a .env file can carry a value: some reader
// would take each of them for another one.
var ErrNoForm = errors.New("no form of quoting carries this value to every reader of a .env file; secrets:set stores it without one, from standard input")

// Format returns an assignment, without a newline at its end, that Parse,
// Compose and godotenv all read back as exactly these bytes: in single quotes
// where possible, else in double quotes, else without. It proves that by
// reading it. A shell agrees on the first form alone.
func Format(key string, value []byte) (string, error) {
	if err := secrets.ValidName(key); err != nil {
		return "", err
	}
	v := string(value)
	if f := limits(v); f == faultNUL || f == faultTooLarge {
		return "", fmt.Errorf("%w: %s", ErrNoForm, textOf(f).what)
	}
	forms := []string{"'" + v + "'", `"` + escaper().Replace(v) + `"`, v}
	for _, form := range forms {
		line := key + "=" + form
		if carries(line, key, v) {
			return line, nil
		}
	}
	return "", ErrNoForm
}

// escaper writes what double quotes need. A line feed stays as it is; a
// carriage return does not, as godotenv drops one before a line feed.
func escaper() *strings.Replacer {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\r", `\r`)
}

// carries tells whether every reader takes line for exactly this value.
func carries(line, key, value string) bool {
	entries, problems := Parse([]byte(line), Options{})
	if len(problems) > 0 || len(entries) != 1 || entries[0].Value.RevealString() != value {
		return false
	}
	vars, ok := readGodotenv(line)
	return ok && len(vars) == 1 && vars[key] == value
}
