package service

import (
	"errors"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// secretProblems turns the loader's error into problems, one a secret.
func secretProblems(err error) []problem {
	if err == nil {
		return nil
	}
	var load *secrets.LoadError
	if !errors.As(err, &load) {
		return []problem{{name: "secrets", what: "the program declares its secrets wrongly: " + err.Error()}}
	}
	var problems []problem
	for _, one := range load.Problems {
		problems = append(problems, problem{name: one.Name, what: one.Reason, places: one.Places, next: one.Hint})
	}
	return problems
}
