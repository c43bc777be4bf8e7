package secrets

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

const login = "login-value-77aa"

// yes is a flag that is given.
func yes() *bool { given := true; return &given }

func TestTargets_FromNothingToAValidProject(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile, ".env": "LOGIN=" + login + "\nPORT=80\n"})
	s := Secrets{}
	run := func(target func(context.Context) error) targettest.Result {
		return targettest.Run(t, "", target, login)
	}

	run(func(ctx context.Context) error { return s.Init(ctx, yes(), nil) }).Want(t, 0, "secrets/README.md", "would be created")
	run(func(ctx context.Context) error { return s.Init(ctx, nil, nil) }).Want(t, 0, ".keepmum/key", "created")
	run(func(ctx context.Context) error { return s.Init(ctx, nil, nil) }).Want(t, 0, "unchanged")
	run(func(ctx context.Context) error { return s.Validate(ctx, nil) }).Want(t, 3, "2 findings", "mage secrets:fromEnv", "mage secrets:generate TOKEN")
	run(func(ctx context.Context) error { return s.FromEnv(ctx, nil, nil, nil, nil, nil, nil) }).Want(t, 0,
		"LOGIN   created  .env:1", "TOKEN   ignored  not in .env", "ignored: PORT", "the values are still in .env")
	run(func(ctx context.Context) error { return s.Generate(ctx, "TOKEN", nil, nil, nil) }).Want(t, 0, "TOKEN created")
	run(func(ctx context.Context) error { return s.Generate(ctx, "TOKEN", nil, nil, nil) }).Want(t, 3, "already has a value", "mage secrets:generate TOKEN -force")
	run(func(ctx context.Context) error { return s.Generate(ctx, "TOKEN", yes(), nil, nil) }).Want(t, 0, "TOKEN updated")
	run(func(ctx context.Context) error { return s.Validate(ctx, nil) }).Want(t, 0, "2 secrets checked, nothing found")
	run(func(ctx context.Context) error { return s.List(ctx, nil) }).Want(t, 0, "SECRET", "LOGIN", "file", "ok")
	run(func(ctx context.Context) error { return s.FromEnv(ctx, nil, nil, nil, yes(), nil, nil) }).Want(t, 0, "commented out in .env: LOGIN")
	run(func(ctx context.Context) error { return s.Remove(ctx, "TOKEN", yes(), nil) }).Want(t, 0, "TOKEN would be removed")
	run(func(ctx context.Context) error { return s.Remove(ctx, "TOKEN", nil, nil) }).Want(t, 0, "TOKEN removed")
	run(func(ctx context.Context) error { return s.Remove(ctx, "TOKEN", nil, nil) }).Want(t, 0, "TOKEN unchanged")
}

func TestSet_ReadsStandardInput(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	set := func(input, name string) targettest.Result {
		return targettest.Run(t, input, func(ctx context.Context) error { return Secrets{}.Set(ctx, name, nil, nil) }, login)
	}
	set(login+"\n", "LOGIN").Want(t, 0, "LOGIN created")
	set(login, "LOGIN").Want(t, 0, "LOGIN unchanged")
	set("short", "LOGIN").Want(t, 3, "min_length", "nothing was changed")
	set(login, "-dryRun").Want(t, 2, "put the name first, then the flags")
	set(login, "NOWHERE").Want(t, 3, "declares no secret NOWHERE")
	if stored, err := os.ReadFile("secrets/LOGIN"); err != nil || string(stored) != login {
		t.Errorf("the file does not hold the value without its newline: %v", err)
	}
}

func TestJSON_IsOneDocumentAlsoBesideAnError(t *testing.T) {
	targettest.Dir(t, nil)
	failed := targettest.Run(t, "", func(ctx context.Context) error { return Secrets{}.List(ctx, yes()) })
	failed.Want(t, 3, "no compose file here")
	var list values.ListResult
	if err := json.Unmarshal([]byte(failed.Out), &list); err != nil || list.Secrets == nil {
		t.Errorf("%v in %q, want a document with an empty list", err, failed.Out)
	}
}

func TestList_ShowsWhatIsShadowedAndHowOld(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	targettest.Run(t, login, func(ctx context.Context) error { return Secrets{}.Set(ctx, "LOGIN", nil, nil) }).Want(t, 0)
	t.Setenv("LOGIN", "another-value")
	targettest.Run(t, "", func(ctx context.Context) error { return Secrets{}.List(ctx, nil) }, login, "another-value").Want(t, 0, "file (not env)", "missing", "s   ok")
}

func TestAge_UsesTheLargestUnitThatFits(t *testing.T) {
	for seconds, want := range map[int64]string{-1: "", 0: "0s", 59: "59s", 60: "1m", 3599: "59m", 3600: "1h", 47 * 3600: "47h", 48 * 3600: "2d"} {
		if got := age(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}
