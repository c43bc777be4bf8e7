package versions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestToSwarm_MakesAVersionOfEachNewOrChangedValue(t *testing.T) {
	w := newWorld(t)
	o := prod()
	o.Reason = "the first ones"
	first := w.done(o)
	w.equal("first", rows(first), "EXTRA ignored", "LOGIN created shop_LOGIN.v1", "TOKEN created shop_TOKEN.v1")
	if first.Environment != "production" || first.Stack != "shop" || first.Cluster != "cluster1" || first.Source != "prod" || first.Secrets[0].Reason != "not in prod" {
		t.Errorf("%+v", first)
	}
	w.holds("shop_TOKEN.v1", opstest.TokenValue)
	w.holds("shop_LOGIN.v1", opstest.LoginValue)
	w.unlocked()
	if w.closed != 1 {
		t.Errorf("closed %d times", w.closed)
	}

	before := len(w.changes())
	again := w.done(prod())
	w.equal("again", rows(again), "EXTRA ignored", "LOGIN unchanged shop_LOGIN.v1", "TOKEN unchanged shop_TOKEN.v1")
	if after := w.changes()[before:]; len(after) > 0 {
		t.Errorf("nothing was due, and the Swarm was changed by %q", after)
	}

	w.Value("prod/TOKEN", opstest.OtherValue)
	w.equal("changed", rows(w.done(prod())), "EXTRA ignored", "LOGIN unchanged shop_LOGIN.v1", "TOKEN updated shop_TOKEN.v2")
	w.holds("shop_TOKEN.v2", opstest.OtherValue)
	w.holds("shop_TOKEN.v1", opstest.TokenValue)

	// a value that was there before is new again: the newest version counts
	w.Value("prod/TOKEN", opstest.TokenValue)
	w.equal("back", rows(w.done(prod())), "EXTRA ignored", "LOGIN unchanged shop_LOGIN.v1", "TOKEN updated shop_TOKEN.v3")

	record := w.record()
	if len(record) != 3 || record[2].Operation != "secrets:toSwarm" || record[2].Outcome != "done" || record[2].Environment != "production" || record[2].Reason != "the first ones" || record[2].By != "anna@here" {
		t.Fatalf("%+v", record)
	}
	w.equal("recorded", record[2].Versions, "shop_LOGIN.v1", "shop_TOKEN.v1")
	w.equal("recorded", record[0].Versions, "shop_TOKEN.v3")
}

func TestToSwarm_LabelsSayWhatAVersionIs(t *testing.T) {
	w := newWorld(t)
	o := prod()
	o.Reason = "audit 7"
	w.done(o)
	all, err := w.swarm.Secrets(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d secrets, %v", len(all), err)
	}
	key, _, err := w.Workspace.Key(false)
	if err != nil {
		t.Fatal(err)
	}
	labels := all[1].Labels
	print := labels[docker.LabelFingerprint]
	if got := key.Compare(print, "shop", "TOKEN", secrets.New([]byte(opstest.TokenValue))); got != fingerprint.Same {
		t.Errorf("the fingerprint is %s", got)
	}
	if print == all[0].Labels[docker.LabelFingerprint] || strings.Contains(print, ".0000000000000000:") {
		t.Errorf("the salt is not random: %s", print)
	}
	delete(labels, docker.LabelFingerprint)
	want := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: "TOKEN", docker.LabelVersion: "1", docker.LabelEnvironment: "production", docker.LabelBy: "anna@here", docker.LabelReason: "audit 7"}
	if fmt.Sprint(labels) != fmt.Sprint(want) { // fmt prints maps sorted
		t.Errorf("%v, want %v", labels, want)
	}
	w2 := newWorld(t)
	w2.done(prod())
	all, _ = w2.swarm.Secrets(t.Context())
	if _, there := all[0].Labels[docker.LabelReason]; there {
		t.Error("there is a reason although none was given")
	}
}

// The newline policy is applied on the way into a version, from both sources.
func TestToSwarm_AppliesTheNewlinePolicyOnce(t *testing.T) {
	compose := strings.Replace(opstest.ComposeFile, "description: of the API, ", "description: of the API, newline: keep, ", 1)
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(compose, "generate: {bytes: 24, alphabet: base62}", "type: text", 1))
	w.Value("prod/LOGIN", opstest.LoginValue+"\n")
	w.Value("prod/TOKEN", opstest.TokenValue+"\n\n")
	w.done(prod())
	w.holds("shop_LOGIN.v1", opstest.LoginValue)
	w.holds("shop_TOKEN.v1", opstest.TokenValue+"\n\n")
	w.Value("prod/LOGIN", opstest.LoginValue+"\r\n")
	w.equal("another newline", rows(w.done(prod()))[1:2], "LOGIN unchanged shop_LOGIN.v1")
	w.equal("by standard input", rows(w.done(input("LOGIN=\"" + opstest.LoginValue + "\\n\"\n")))[1:2], "LOGIN unchanged shop_LOGIN.v1")
}

func TestToSwarm_TakesADotEnvFromStandardInput(t *testing.T) {
	w := newWorld(t)
	result := w.done(input("# mine\nTOKEN='" + opstest.TokenValue + "'\nPORT=80\nEXTRA=\n"))
	w.equal("rows", rows(result), "EXTRA ignored", "LOGIN ignored", "TOKEN created shop_TOKEN.v1")
	w.equal("undeclared", result.Undeclared, "PORT")
	if result.Source != "standard input" || result.Secrets[0].Reason != "empty, and optional" || result.Secrets[1].Reason != "not in standard input, and it has no version yet" {
		t.Errorf("%+v", result)
	}
	w.holds("shop_TOKEN.v1", opstest.TokenValue)

	dollar := "LOGIN=\"" + opstest.LoginValue + "$X\"\n"
	w.refused(input(dollar), fault.Invalid, "standard input:1: LOGIN: two readings that differ", "-literal=LOGIN")
	literal := input(dollar)
	literal.Literal = []string{"LOGIN"}
	w.done(literal)
	w.holds("shop_LOGIN.v1", opstest.LoginValue+"$X")
	w.refused(input("TOKEN=changeme\nLOGIN=\n"), fault.Invalid, "2 findings", "standard input:1: TOKEN", "standard input:2: LOGIN: the value is empty")
	nul := input("LOGIN='a\x00b'\n")
	result, err := w.use().ToSwarm(t.Context(), nul)
	if w.want(err, fault.Invalid, "NUL", "-from=DIR"); strings.Contains(fmt.Sprint(err), "secrets:set") || len(result.Secrets) > 0 {
		t.Errorf("secrets:set stores values of development: %v", err)
	}
	w.refused(input(" \n"), fault.Invalid, "standard input is empty", "-from=DIR")
}

// What can be known without a Swarm is found before anybody connects to one, all
// at once.
func TestToSwarm_ChecksEveryValueBeforeTheFirstCall(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		code   fault.Code
		parts  []string
	}{
		"rules": {func(w *world) { w.Value("prod/TOKEN", "short"); w.Value("prod/LOGIN", "changeme\n") }, fault.Invalid,
			[]string{"prod has 2 findings; nothing was changed", "prod/TOKEN: is shorter", "prod/LOGIN: is a placeholder", "fix prod"}},
		"sizes": {func(w *world) {
			w.Value("prod/TOKEN", "")
			w.Value("prod/LOGIN", strings.Repeat("x", secrets.MaxSize+1))
		}, fault.Invalid, []string{"TOKEN is empty", "LOGIN is larger than 511999 bytes"}},
		"a bad environment": {func(w *world) { w.Put("prod/.environment", opstest.OtherValue+" x\n") }, fault.Invalid, []string{"prod/.environment: is not one line with the name of an environment"}},
		"the manifest":      {func(w *world) { w.Put("docker-compose.yml", "name: shop\nsecrets: 7\n") }, fault.Invalid, []string{"docker-compose.yml"}},
		"no manifest":       {func(w *world) { w.remove("docker-compose.yml") }, fault.Invalid, []string{"no compose file here"}},
		"no name of a stack": {func(w *world) {
			w.Put("docker-compose.yml", strings.TrimPrefix(opstest.ComposeFile, "name: shop\n"))
		}, fault.Usage, []string{"no stack is named"}},
		"a bad name of a stack":   {func(w *world) { w.config.Stack = "Shop" }, fault.Usage, []string{"Shop cannot be a stack's name"}},
		"a key of the wrong size": {func(w *world) { w.Put(".keepmum/key", "x") }, fault.Invalid, []string{".keepmum/key"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.config.Connect = nil // a connection would panic
			test.change(w)
			w.refused(prod(), test.code, test.parts...)
		})
	}
}

func TestToSwarm_RefusesASourceThatIsNotNamed(t *testing.T) {
	w := newWorld(t)
	w.config.Connect = nil
	o := prod()
	o.From = ""
	w.refused(o, fault.Usage, "no source of values is named", "-from=DIR")
	o.From = "nowhere"
	w.refused(o, fault.Invalid, "nowhere does not exist")
	o.From = "prod/TOKEN"
	w.refused(o, fault.Invalid, "is not a directory")
	o = prod()
	o.Environment = "Production!"
	w.refused(o, fault.Usage, "-environment is not the name of an environment")
	o.Environment = "staging"
	w.refused(o, fault.Invalid, "prod/.environment: is of production, and -environment says staging")
	o.Environment = "production"
	w.config.Connect = w.connect
	w.done(o)
}

func TestToSwarm_RefusesAReasonThatEverybodyMustNotRead(t *testing.T) {
	w := newWorld(t)
	w.config.Connect = nil
	for reason, problem := range map[string]string{
		"because of " + opstest.TokenValue:     "holds the value of a secret",
		"two\nlines":                           "cannot be printed",
		"\x1b[2J":                              "cannot be printed",
		strings.Repeat("long ", 41):            "longer than 200 bytes",
		"hex 746f6b656e2d76616c75652d38386262": "holds the value of a secret",
	} {
		o := prod()
		o.Reason = reason
		w.refused(o, fault.Usage, problem)
	}
	w.config.Connect = w.connect
	o := prod()
	o.Reason = strings.Repeat("ä", 100)
	w.done(o)
}

func TestToSwarm_NeedsAnEnvironmentThatAgrees(t *testing.T) {
	w := newWorld(t)
	w.remove("prod/.environment")
	w.refused(prod(), fault.Invalid, "prod: names no environment", "-environment=NAME", ".environment")
	o := prod()
	o.Environment = "staging"
	w.equal("by the flag", rows(w.done(o))[1:], "LOGIN created shop_LOGIN.v1", "TOKEN created shop_TOKEN.v1")
	w.Value("prod/TOKEN", opstest.OtherValue)
	if result := w.done(prod()); result.Environment != "staging" {
		t.Errorf("a later source that names none: %q", result.Environment)
	}
	w.Put("prod/.environment", "production")
	result := w.refused(prod(), fault.Invalid, "is of production, and the versions of stack shop are of staging")
	if len(result.Secrets) != 3 || result.Secrets[1].Change != "unchanged" {
		t.Errorf("%+v", result.Secrets)
	}
	labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: "X", docker.LabelVersion: "1", docker.LabelEnvironment: "production"}
	if _, err := w.swarm.CreateSecret(t.Context(), "shop_X.v1", labels, secrets.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	w.refused(prod(), fault.Invalid, "its versions are of different environments", "1 finding;")
}

func TestToSwarm_StopsIfAStateIsUnknown(t *testing.T) {
	const unknown = "TOKEN: whether shop_TOKEN.v1 holds this value is unknown"
	t.Run("another key", func(t *testing.T) {
		w := newWorld(t)
		w.done(prod())
		w.Put(".keepmum/key", strings.Repeat("k", fingerprint.KeySize))
		w.Value("prod/TOKEN", opstest.OtherValue)
		r := w.refused(prod(), fault.Invalid, unknown, "LOGIN: whether", "2 findings", "KEEPMUM_KEY_FILE")
		w.equal("rows", rows(r), "EXTRA ignored", "LOGIN ignored shop_LOGIN.v1", "TOKEN ignored shop_TOKEN.v1")
	})
	t.Run("no key", func(t *testing.T) {
		w := newWorld(t)
		w.done(prod())
		w.remove(".keepmum/key")
		w.refused(prod(), fault.Invalid, unknown, "KEEPMUM_KEY_FILE")
	})
	t.Run("no key for the first version", func(t *testing.T) {
		w := newWorld(t)
		w.remove(".keepmum/key")
		w.refused(prod(), fault.Invalid, "there is no project's key", "mage secrets:init")
	})
	t.Run("a version without a fingerprint", func(t *testing.T) {
		w := newWorld(t)
		labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: "TOKEN", docker.LabelVersion: "1"}
		if _, err := w.swarm.CreateSecret(t.Context(), "shop_TOKEN.v1", labels, secrets.New([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		w.refused(prod(), fault.Invalid, unknown)
	})
	t.Run("one that is not given", func(t *testing.T) { // is not compared
		w := newWorld(t)
		w.done(prod())
		w.remove(".keepmum/key")
		w.remove("prod/TOKEN")
		w.remove("prod/LOGIN")
		w.equal("rows", rows(w.done(prod())), "EXTRA ignored", "LOGIN ignored shop_LOGIN.v1", "TOKEN ignored shop_TOKEN.v1")
	})
}

func TestToSwarm_ChecksNamesBeforeTheFirstVersion(t *testing.T) {
	w := newWorld(t)
	w.config.Stack = strings.Repeat("s", 42)
	long := strings.ReplaceAll(opstest.ComposeFile, "LOGIN", "LOGIN_OF_THE_DATABASE")
	w.Put("docker-compose.yml", long)
	w.Value("prod/LOGIN_OF_THE_DATABASE", opstest.LoginValue)
	w.refused(prod(), fault.Invalid, "which is 67 characters long; a Swarm takes 64", "1 finding;", "shorter name")
}

func TestToSwarm_SendsNoValueWhereItCouldBeRead(t *testing.T) {
	w := newWorld(t)
	w.swarm.Refuse = &fault.Error{Code: fault.NoEngine, What: "tcp:// without TLS", Next: "use TLS"}
	w.refused(prod(), fault.NoEngine, "without TLS")
	dry := prod()
	dry.DryRun = true
	w.refused(dry, fault.NoEngine, "without TLS")
}

func TestToSwarm_DryRunIsThePlanAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	dry := prod()
	dry.DryRun = true
	plan := w.done(dry)
	if changes := w.changes(); len(changes) > 0 || !plan.DryRun {
		t.Errorf("changed by %q", changes)
	}
	w.equal("the plan", rows(plan), rows(w.done(prod()))...)
}

func TestToSwarm_GoesOnAfterACrashInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.swarm.Fail = func(_ context.Context, call string) error {
		if call == "CreateSecret shop_TOKEN.v1" {
			return &fault.Error{Code: fault.NoEngine, What: "the engine is gone", Next: "x"}
		}
		return nil
	}
	result, err := w.use().ToSwarm(t.Context(), prod())
	w.want(err, fault.Incomplete, "shop_TOKEN.v1 was not made: the engine is gone; 1 of 2 versions are made, and stay", "mage secrets:toSwarm -from=prod")
	w.equal("rows", rows(result), "EXTRA ignored", "LOGIN created shop_LOGIN.v1", "TOKEN ignored")
	if result.Secrets[2].Reason != "not made" {
		t.Errorf("%+v", result.Secrets[2])
	}
	w.unlocked()
	if record := w.record(); len(record) != 1 || record[0].Outcome != "incomplete" || !slices.Equal(record[0].Versions, []string{"shop_LOGIN.v1"}) {
		t.Errorf("%+v", record)
	}
	w.swarm.Fail = nil
	before := len(w.swarm.Calls("CreateSecret"))
	w.done(prod())
	w.equal("afterwards", w.swarm.Calls("CreateSecret")[before:], "CreateSecret shop_TOKEN.v1")
}

func TestToSwarm_SaysThatNothingWasMade(t *testing.T) {
	w := newWorld(t)
	w.swarm.Fail = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "CreateSecret") {
			return &fault.Error{Code: fault.NoEngine, What: "the engine is gone", Next: "x"}
		}
		return nil
	}
	result, err := w.use().ToSwarm(t.Context(), prod())
	w.want(err, fault.NoEngine, "0 of 2 versions are made")
	w.equal("rows", rows(result), "EXTRA ignored", "LOGIN ignored", "TOKEN ignored")
	w.equal("it stopped at the first failure", w.swarm.Calls("CreateSecret"), "CreateSecret shop_LOGIN.v1")
	w.swarm.Fail = nil
	if record := w.record(); len(record) > 0 {
		t.Errorf("recorded: %+v", record)
	}
}

func TestToSwarm_StopsAtASignal(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.swarm.After = func(call string) error {
		if call == "CreateSecret shop_LOGIN.v1" {
			cancel()
		}
		return nil
	}
	_, err := w.use().ToSwarm(ctx, prod())
	w.want(err, fault.Interrupted, "stopped before shop_TOKEN.v1 was made; 1 of 2 versions are made, and stay", "mage secrets:toSwarm")
	w.unlocked()
	if record := w.record(); len(record) != 1 || record[0].Outcome != "incomplete" {
		t.Errorf("%+v", record)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = w.use().ToSwarm(expired, prod())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestToSwarm_DoesNotWaitForAnInputThatNeverEnds(t *testing.T) {
	w := newWorld(t)
	w.config.Connect = nil
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	o := input("")
	o.Stdin = endless{t.Context().Done()}
	_, err := w.use().ToSwarm(ctx, o)
	w.want(err, fault.Incomplete, "stopped before standard input ended; nothing was changed")
}

// endless is an input on which nothing ever comes.
type endless struct{ until <-chan struct{} }

func (e endless) Read([]byte) (int, error) {
	<-e.until
	return 0, errors.New("over")
}

func TestToSwarm_TakesTheNextNumberIfTheNameIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.swarm.CreateSecret(t.Context(), "shop_LOGIN.v4", nil, secrets.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	taken := 1
	w.swarm.Fail = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "CreateSecret shop_TOKEN") && taken > 0 {
			taken--
			return docker.ErrExists
		}
		return nil
	}
	// a number that somebody else's secret has is not used
	w.equal("rows", rows(w.done(prod())), "EXTRA ignored", "LOGIN created shop_LOGIN.v5", "TOKEN created shop_TOKEN.v2")
	all, _ := w.swarm.Secrets(t.Context())
	if version := all[len(all)-1].Labels[docker.LabelVersion]; version != "2" {
		t.Errorf("the label of shop_TOKEN.v2 says %q", version)
	}
	w.Value("prod/TOKEN", opstest.OtherValue)
	taken = 2
	_, err := w.use().ToSwarm(t.Context(), prod())
	w.want(err, fault.Failed, "shop_TOKEN.v4 was not made: the name is taken in the Swarm")
}

// Between the plan and the lock another command makes the same versions.
func TestToSwarm_PlansAgainUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := true
		w.swarm.Fail = func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "CreateConfig shop_keepmum.lock") && first {
				first = false
				w.done(prod())
			}
			return nil
		}
		w.equal("rows", rows(w.done(prod())), "EXTRA ignored", "LOGIN unchanged shop_LOGIN.v1", "TOKEN unchanged shop_TOKEN.v1")
		w.equal("secrets", w.secretNames(), "shop_LOGIN.v1", "shop_TOKEN.v1")
		first = true
		w.Value("prod/TOKEN", opstest.OtherValue)
		w.swarm.Fail = func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "CreateConfig shop_keepmum.lock") && first {
				first = false
				labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: "X", docker.LabelVersion: "1", docker.LabelEnvironment: "staging"}
				_, err := w.swarm.CreateSecret(t.Context(), "shop_X.v1", labels, secrets.New([]byte("x")))
				return err
			}
			return nil
		}
		_, err := w.use().ToSwarm(t.Context(), prod())
		w.want(err, fault.Invalid, "different environments")
		w.unlocked()
	})
}

func TestToSwarm_StopsWhenItsLockIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.swarm.Fail = func(ctx context.Context, call string) error {
			if call == "CreateSecret shop_TOKEN.v1" {
				configs, _ := w.swarm.Configs(t.Context())
				for _, config := range configs {
					if config.Name == "shop_keepmum.lock" {
						_ = w.swarm.RemoveConfig(t.Context(), config.ID)
					}
				}
				<-ctx.Done()
			}
			return nil
		}
		result, err := w.use().ToSwarm(t.Context(), prod())
		w.want(err, fault.Incomplete, "somebody removed the config shop_keepmum.lock", "1 of 2 versions are made")
		w.equal("rows", rows(result), "EXTRA ignored", "LOGIN created shop_LOGIN.v1", "TOKEN ignored")
	})
}

// 200 secrets need 200 calls, and a dozen more.
func TestToSwarm_MakesNoNeedlessCalls(t *testing.T) {
	w := newWorld(t)
	var compose, list strings.Builder
	for i := range 200 {
		name := fmt.Sprintf("S%03d", i)
		fmt.Fprintf(&list, "%s, ", name)
		fmt.Fprintf(&compose, "  %s: {file: ./secrets/%s, x-keepmum: {description: x}}\n", name, name)
		w.Value("prod/"+name, fmt.Sprintf("value of secret number %d", i))
	}
	w.Put("docker-compose.yml", "name: shop\nservices:\n  api: {image: shop/api, secrets: ["+strings.TrimSuffix(list.String(), ", ")+"]}\nsecrets:\n"+compose.String())
	result, err := w.use().ToSwarm(t.Context(), prod())
	if err != nil {
		t.Fatal(err)
	}
	if made := w.swarm.Calls("CreateSecret"); len(made) != 200 || len(result.Secrets) != 200 {
		t.Errorf("%d calls, %d rows", len(made), len(result.Secrets))
	}
	if n := len(w.swarm.Calls("Secrets")); n != 2 {
		t.Errorf("the secrets were listed %d times: once for the plan, once under the lock", n)
	}
	if all := w.swarm.Calls(""); len(all) > 215 {
		t.Errorf("%d calls", len(all))
	}
}

func TestToSwarm_WarnsOfValuesOfDevelopment(t *testing.T) {
	w := newWorld(t)
	w.Write("EXTRA", opstest.TokenValue, "LOGIN", opstest.OtherValue)
	warned := w.done(prod())
	w.equal("warnings", warned.Warnings, "TOKEN has the value of "+w.Dir+"/secrets/EXTRA, which is for development")
	w.equal("said again if nothing is due", w.done(prod()).Warnings, warned.Warnings...)

	own := newWorld(t)
	own.Write("TOKEN", opstest.TokenValue, "LOGIN", opstest.LoginValue)
	o := prod()
	o.From = own.Dir + "/secrets/"
	o.Environment = "production"
	own.refused(o, fault.Invalid, "is of development, and -environment says production")
	o.Environment = ""
	if result := own.done(o); result.Environment != "development" || len(result.Warnings) > 0 {
		t.Errorf("the project's own secrets/: %q, %q", result.Environment, result.Warnings)
	}
}

func TestToSwarm_NamesWhatItDoesNotTake(t *testing.T) {
	w := newWorld(t)
	w.Value("prod/ORPHAN", opstest.OtherValue)
	w.Put("prod/notes.txt", "x")
	w.Value("prod/EXTRA", " blank at the start")
	result := w.done(prod())
	w.equal("undeclared", result.Undeclared, "ORPHAN", "notes.txt")
	w.equal("warnings", result.Warnings, "EXTRA starts with blanks, which are kept")
}

func TestToSwarm_ReturnsWhatTheEngineSays(t *testing.T) {
	w := newWorld(t)
	gone := &fault.Error{Code: fault.NoEngine, What: "no engine", Next: "x"}
	for _, call := range []string{"Manager", "Secrets", "CreateConfig shop_keepmum.lock"} {
		w.swarm.Fail = func(_ context.Context, got string) error {
			if got == call {
				return gone
			}
			return nil
		}
		closed := w.closed
		result, err := w.use().ToSwarm(t.Context(), prod())
		w.want(err, fault.NoEngine, "no engine")
		if w.closed != closed+1 {
			t.Errorf("%s: the connection was closed %d times", call, w.closed-closed)
		}
		for _, row := range result.Secrets {
			if row.Change != "ignored" {
				t.Errorf("%s: %+v", call, row)
			}
		}
	}
}

func TestRead_HoldsWhatVersionsOfTheDirectoryWouldHold(t *testing.T) {
	w := newWorld(t)
	w.Value("prod/LOGIN", opstest.LoginValue+"\n") // newline: strip
	given, err := w.use().Read(t.Context(), versions.Source{From: "prod"}, "")
	if err != nil {
		t.Fatal(err)
	}
	known := given.Known()
	if len(known) != 2 || known[0].Name != "LOGIN" || known[1].Name != "TOKEN" {
		t.Fatalf("%d values", len(known))
	}
	if !known[0].Value.Equal(secrets.New([]byte(opstest.LoginValue))) || !known[1].Value.Equal(secrets.New([]byte(opstest.TokenValue))) {
		t.Error("other values than the versions'")
	}
	_, err = w.use().Read(t.Context(), versions.Source{From: "nowhere"}, "")
	w.want(err, fault.Invalid, "nowhere does not exist")
	w.Value("prod/TOKEN", "short")
	if _, err := w.use().Read(t.Context(), versions.Source{From: "prod"}, ""); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a directory with a finding: %v", err)
	}
	if len(w.swarm.Calls("")) > 0 {
		t.Errorf("asked the Swarm: %q", w.swarm.Calls(""))
	}
}
