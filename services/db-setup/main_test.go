package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

func TestExplain(t *testing.T) {
	admin, login := store.Target{Role: "postgres"}, store.Login{Role: store.RoleA}
	other := errors.New("other")
	for name, test := range map[string]struct {
		err        error
		names, way string
	}{
		"admin":       {&store.Error{Class: store.WrongPassword, Role: "postgres"}, "DB_ADMIN_PASSWORD", "ALTER ROLE postgres"},
		"login":       {&store.Error{Class: store.WrongPassword, Role: store.RoleA}, "DB_APP_LOGIN", "VALID UNTIL"},
		"something":   {&store.Error{Class: store.NoDatabase}, "", ""},
		"not of ours": {other, "", ""},
	} {
		var config *service.ConfigError
		got := explain(test.err, admin, login)
		switch {
		case test.names == "" && !errors.Is(got, test.err):
			t.Errorf("%s: %v", name, got)
		case test.names != "" && (!errors.As(got, &config) || config.Name != test.names || !strings.Contains(config.Next, test.way)):
			t.Errorf("%s: %v, want %s and %q", name, got, test.names, test.way)
		}
	}
}

func TestIsPassing(t *testing.T) {
	for class, want := range map[store.Class]bool{
		store.Unreachable: true, store.Starting: true, store.TooMany: true,
		store.WrongPassword: false, store.NoDatabase: false, store.NoRight: false, store.Statement: false,
	} {
		if got := isPassing(&store.Error{Class: class}); got != want {
			t.Errorf("%s: %v, want %v", class, got, want)
		}
	}
	if isPassing(errors.New("x")) {
		t.Error("an error of another package counts as temporary")
	}
}
