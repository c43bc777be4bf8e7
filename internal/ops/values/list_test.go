package values_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestListTellsHowEachStands(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", opstest.LoginValue)
	b.Put("secrets/TOKEN", opstest.TokenValue+"\n")
	b.Put("secrets/OLD_NAME", opstest.OtherValue)
	b.Open()
	long := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.Dir, "secrets", "LOGIN"), long, long); err != nil {
		t.Fatal(err)
	}
	lower := secrets.Map(map[string]string{"LOGIN": opstest.OtherValue})
	result, err := values.New(values.Config{Project: b.Project(), Env: lower}).List(t.Context())
	b.Silent(result, err)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range result.Secrets {
		got[row.Name] = fmt.Sprintf("%s %s %s %s %v", strings.Join(row.Services, "+"), row.Source, row.LastByte, row.State, row.Shadows)
	}
	want := map[string]string{
		"LOGIN":    "api+worker file text overdue [map]",
		"TOKEN":    "api file LF invalid []",
		"EXTRA":    "api   optional []",
		"OLD_NAME": " file text orphan []",
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}
