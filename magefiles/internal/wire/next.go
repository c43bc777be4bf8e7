package wire

import (
	"errors"
	"regexp"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// overSwarm finds the commands over a Swarm in a hint, with a positional if they
// take one and the flags that follow.
var overSwarm = regexp.MustCompile(`\bmage (deploy:(?:plan|swarm|render|status)|secrets:(?:toSwarm|diff|age)|(?:deploy:(?:rollback|remove)|secrets:(?:where|whereService|history)) [A-Za-z0-9][\w.-]*)((?: -[^\s,;)]+)*)`)

// again puts the flags that name the stack, its file and the Swarm into the
// commands of a hint: copied as it is printed, it means what this command meant.
func (o OverSwarm) again(hint string) string {
	return overSwarm.ReplaceAllStringFunc(hint, func(command string) string {
		parts := overSwarm.FindStringSubmatch(command)
		target, positional, _ := strings.Cut(parts[1], " ")
		takes := map[string]bool{
			"stack":   !strings.HasPrefix(target, "deploy:") || positional == "",
			"file":    positional == "",
			"context": true,
		}
		flags := ""
		for _, flag := range []struct {
			name  string
			value *string
		}{{"stack", o.Stack}, {"file", o.File}, {"context", o.Context}} {
			if Value(flag.value) != "" && takes[flag.name] && !strings.Contains(parts[2]+" ", " -"+flag.name+"=") {
				flags += " -" + flag.name + "=" + quoted(*flag.value)
			}
		}
		return "mage " + parts[1] + flags + parts[2]
	})
}

// complete puts the flags into every hint of err.
func (o OverSwarm) complete(err error) {
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			o.complete(one)
		}
	case *fault.Error:
		e.Next = o.again(e.Next)
		for i := range e.Findings {
			e.Findings[i].Next = o.again(e.Findings[i].Next)
		}
	default:
		o.complete(errors.Unwrap(err))
	}
}

// plain is a word that a shell takes as it is written.
var plain = regexp.MustCompile(`^[\w./:@%+=-]+$`)

// quoted is a word for a shell.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
