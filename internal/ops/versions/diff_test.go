package versions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// diff runs Diff and words its rows: NAME state version. It requires that nothing
// changes.
func (w *world) diff(o versions.Source) ([]string, error) {
	w.T.Helper()
	before := len(w.changes())
	result, err := w.use().Diff(w.T.Context(), o)
	w.silent(result, err)
	if after := w.changes()[before:]; len(after) > 0 {
		w.T.Errorf("changed the Swarm by %q", after)
	}
	var words []string
	for _, row := range result.Secrets {
		words = append(words, strings.TrimRight(fmt.Sprintf("%s %s %s", row.Name, row.State, row.Version), " "))
	}
	return words, err
}

func TestDiff_SaysWhatIsDue(t *testing.T) {
	w := newWorld(t)
	source := prod().Source
	got, err := w.diff(source)
	w.equal("before the first version", got, "LOGIN onlyHere", "TOKEN onlyHere")
	w.want(err, fault.Pending, "2 versions are to be made", "mage secrets:toSwarm -from=prod")

	w.done(prod())
	got, err = w.diff(source)
	if w.equal("after it", got, "LOGIN same shop_LOGIN.v1", "TOKEN same shop_TOKEN.v1"); err != nil {
		t.Error(err)
	}

	w.Value("prod/TOKEN", opstest.OtherValue)
	w.remove("prod/LOGIN")
	got, err = w.diff(source)
	w.equal("changed", got, "LOGIN onlyThere shop_LOGIN.v1", "TOKEN changed shop_TOKEN.v1")
	w.want(err, fault.Pending, "1 version is to be made")

	w.Value("prod/TOKEN", opstest.TokenValue)
	if _, err = w.diff(source); err != nil {
		t.Errorf("that a source lacks a value is not due: %v", err)
	}
}

func TestDiff_NamesWhatIsNowhereAndWhatIsUnused(t *testing.T) {
	w := newWorld(t)
	w.done(prod())
	for _, name := range []string{"OLD", "OTHER"} {
		labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: name, docker.LabelVersion: "1"}
		if _, err := w.swarm.CreateSecret(t.Context(), "shop_"+name+".v1", labels, secrets.New([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	w.Put("docker-compose.yml", strings.Replace(strings.Replace(opstest.ComposeFile, "[LOGIN]", "[LOGIN, NEW]", 1), "secrets:\n  TOKEN", "secrets:\n  NEW: {file: ./secrets/NEW, x-keepmum: {description: x}}\n  TOKEN", 1))
	got, err := w.diff(prod().Source)
	w.equal("rows", got, "LOGIN same shop_LOGIN.v1", "NEW missing", "OLD unused shop_OLD.v1", "OTHER unused shop_OTHER.v1", "TOKEN same shop_TOKEN.v1")
	w.want(err, fault.Pending, "1 version is to be made; of 1 secret there is no value in prod either", "add what is missing to prod")
	result, _ := w.use().Diff(t.Context(), prod().Source)
	w.equal("services", result.Secrets[0].Services, "api", "worker")
	w.Value("prod/NEW", opstest.OtherValue)
	w.Value("prod/ORPHAN", "x")
	result, err = w.use().Diff(t.Context(), prod().Source)
	w.want(err, fault.Pending, "1 version is to be made")
	w.equal("undeclared", result.Undeclared, "ORPHAN")
	if result.Source != "prod" || result.Environment != "production" || result.Stack != "shop" {
		t.Errorf("%+v", result)
	}
	w.done(prod())
	if _, err := w.diff(prod().Source); err != nil {
		t.Errorf("unused versions are not due: %v", err)
	}
}

func TestDiff_NeverTakesUnknownForAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.done(prod())
	w.Value("prod/TOKEN", opstest.OtherValue)
	w.Put(".keepmum/key", strings.Repeat("k", fingerprint.KeySize))
	got, err := w.diff(prod().Source)
	w.equal("another key", got, "LOGIN unknown shop_LOGIN.v1", "TOKEN unknown shop_TOKEN.v1")
	w.want(err, fault.Invalid, "2 versions are unknown", "KEEPMUM_KEY_FILE")
	w.remove(".keepmum/key")
	got, err = w.diff(prod().Source)
	w.equal("no key", got, "LOGIN unknown shop_LOGIN.v1", "TOKEN unknown shop_TOKEN.v1")
	w.want(err, fault.Invalid, "2 versions are unknown")
}

func TestDiff_ChecksTheSourceAsToSwarmDoes(t *testing.T) {
	w := newWorld(t)
	w.done(prod())
	w.Value("prod/TOKEN", "short")
	_, err := w.diff(prod().Source)
	w.want(err, fault.Invalid, "prod/TOKEN: is shorter")
	_, err = w.diff(versions.Source{})
	w.want(err, fault.Usage, "no source of values is named")
	w.Value("prod/TOKEN", opstest.TokenValue)
	w.Put("prod/.environment", "staging")
	_, err = w.diff(prod().Source)
	w.want(err, fault.Invalid, "prod is of staging, and the versions of stack shop are of production")
	got, err := w.diff(versions.Source{Stdin: strings.NewReader("TOKEN=" + opstest.OtherValue)})
	w.equal("standard input", got, "LOGIN onlyThere shop_LOGIN.v1", "TOKEN changed shop_TOKEN.v1")
	w.want(err, fault.Pending, "mage secrets:toSwarm < FILE")
	w.remove("docker-compose.yml")
	_, err = w.diff(prod().Source)
	w.want(err, fault.Invalid, "no compose file")
}
