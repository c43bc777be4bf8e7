package values_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestList_ShowsTheStateOfEach(t *testing.T) {
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

// row returns the row of a secret.
func row(t *testing.T, v *values.Values, name string) values.ListRow {
	t.Helper()
	result, err := v.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range result.Secrets {
		if row.Name == name {
			return row
		}
	}
	t.Fatalf("no row for %s", name)
	return values.ListRow{}
}

func TestList_IsSortedByName(t *testing.T) {
	b := opstest.New(t)
	b.Write("AAA", opstest.OtherValue, "MIDDLE", opstest.OtherValue)
	result, err := use(b).List(t.Context())
	b.Silent(result, err)
	var names []string
	for _, row := range result.Secrets {
		names = append(names, row.Name)
	}
	if want := []string{"AAA", "EXTRA", "LOGIN", "MIDDLE", "TOKEN"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("rows %q, %v; want %q", names, err, want)
	}
}

func TestList_ClassesTheLastByte(t *testing.T) {
	for value, want := range map[string]string{
		"text":          "text",
		"t\u00e4\u00f6": "text",
		"line\n":        "LF",
		"line\r\n":      "CRLF",
		"return\r":      "binary",
		"space ":        "blank",
		"tab\t":         "blank",
		"delete\x7f":    "binary",
		"unit\x1f":      "binary",
		"null\x00":      "binary",
		"\xff\xfeend":   "binary",
		"tilde~":        "text",
		"\n":            "LF",
	} {
		b := opstest.New(t)
		b.Write("LOGIN", value, "ORPHAN", value)
		for _, name := range []string{"LOGIN", "ORPHAN"} {
			if got := row(t, use(b), name).LastByte; got != want {
				t.Errorf("%s, value %+q: %s, want %s", name, value, got, want)
			}
		}
	}
}

func TestList_IsOverdueAfterTheLimitAndNotAtIt(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue, "ORPHAN", opstest.OtherValue)
	written := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"LOGIN", "TOKEN", "ORPHAN"} {
		if err := os.Chtimes(filepath.Join(b.Dir, "secrets", name), written, written); err != nil {
			t.Fatal(err)
		}
	}
	limit := 90 * 24 * time.Hour
	for _, test := range []struct {
		age     time.Duration
		want    values.Status
		seconds int64
	}{{0, values.StatusOK, 0}, {limit, values.StatusOK, 7776000}, {limit + time.Nanosecond, values.StatusOverdue, 7776000}, {limit + time.Second, values.StatusOverdue, 7776001}} {
		v := values.New(values.Config{Project: b.Project(), Now: func() time.Time { return written.Add(test.age) }})
		if got := row(t, v, "LOGIN"); got.State != test.want || got.Age != test.seconds {
			t.Errorf("after %s: %s, %d s; want %s, %d s", test.age, got.State, got.Age, test.want, test.seconds)
		}
		if got := row(t, v, "TOKEN"); got.State != values.StatusOK || got.Age != test.seconds {
			t.Errorf("without rotate_every: %s, %d s", got.State, got.Age)
		}
		if got := row(t, v, "ORPHAN"); got.State != values.StatusOrphan || got.Age != test.seconds {
			t.Errorf("not declared: %s, %d s", got.State, got.Age)
		}
	}
}

func TestList_ShowsFilesThatCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	for _, name := range []string{"LOGIN", "ORPHAN"} {
		b.Put("secrets/"+name+"/x", "")
	}
	b.Put("secrets/TOKEN", "")
	b.Open()
	if got, want := row(t, use(b), "LOGIN"), (values.ListRow{Name: "LOGIN", Services: []string{"api", "worker"}, Type: "text", Age: -1, State: values.StatusInvalid}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := row(t, use(b), "TOKEN"); got.State != values.StatusInvalid || got.Age != -1 {
		t.Errorf("an empty file: %+v", got)
	}
	if got, want := row(t, use(b), "ORPHAN"), (values.ListRow{Name: "ORPHAN", Source: "file", Age: -1, State: values.StatusOrphan}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestList_TakesTheFirstSourceAndNamesTheOthers(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	v := values.New(values.Config{
		Project: b.Project(),
		Docker:  secrets.Map(map[string]string{"LOGIN": opstest.OtherValue + "\n"}),
		Env:     secrets.Map(map[string]string{"LOGIN": opstest.TokenValue, "TOKEN": opstest.TokenValue, "EXTRA": opstest.OtherValue}),
	})
	if got := row(t, v, "LOGIN"); got.Source != "map" || got.LastByte != "LF" || !slices.Equal(got.Shadows, []string{"file", "map"}) || got.State != values.StatusInvalid {
		t.Errorf("LOGIN: %+v", got)
	}
	if got := row(t, v, "TOKEN"); got.Source != "file" || len(got.Shadows) > 0 || got.State != values.StatusOK {
		t.Errorf("the same value in a lower source: %+v", got)
	}
	if got := row(t, v, "EXTRA"); got.Source != "map" || got.State != values.StatusOK || got.Age != -1 {
		t.Errorf("an optional secret that only the environment has: %+v", got)
	}
	if got := row(t, use(opstest.New(t)), "LOGIN"); got.State != values.StatusMissing || got.Source != "" || got.LastByte != "" {
		t.Errorf("in no source: %+v", got)
	}
}

func TestList_NeedsAManifestOfWhichASecretCanBeRead(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "optional: true", "optoinal: true", 1))
	result, err := use(b).List(t.Context())
	if err != nil || len(result.Secrets) != 3 {
		t.Errorf("a finding in one of three: %d rows, %v", len(result.Secrets), err)
	}
	b.Put("docker-compose.yml", "name: shop\nservices:\n  api:\n    image: shop/api\n")
	if result, err = use(b).List(t.Context()); err != nil || len(result.Secrets) != 1 || result.Secrets[0].State != values.StatusOrphan {
		t.Errorf("no secret is declared: %+v, %v", result, err)
	}
	b.Put("docker-compose.yml", "name: shop\nservices: 7\n")
	result, err = use(b).List(t.Context())
	if fault.CodeOf(err) != fault.Invalid || len(result.Secrets) > 0 {
		t.Errorf("a file that is not one: %+v, %v", result, err)
	}
}
