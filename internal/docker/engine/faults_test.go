//go:build unix

package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// calls has every method that makes a plain call.
func calls(e *engine.Engine) map[string]func(context.Context) error {
	some := map[string]string{"a": "b"}
	return map[string]func(context.Context) error{
		"Info":             func(ctx context.Context) error { _, err := e.Info(ctx); return err },
		"Image":            func(ctx context.Context) error { _, _, err := e.Image(ctx, "x"); return err },
		"InspectImage":     func(ctx context.Context) error { _, err := e.InspectImage(ctx, "x"); return err },
		"ImageHistory":     func(ctx context.Context) error { _, err := e.ImageHistory(ctx, "x"); return err },
		"RemoveImage":      func(ctx context.Context) error { return e.RemoveImage(ctx, "x", false) },
		"Containers":       func(ctx context.Context) error { _, err := e.Containers(ctx, some); return err },
		"Container":        func(ctx context.Context) error { _, err := e.Container(ctx, "x"); return err },
		"InspectContainer": func(ctx context.Context) error { _, err := e.InspectContainer(ctx, "x"); return err },
		"Ask": func(ctx context.Context) error {
			_, err := e.Ask(ctx, engine.Request{Doing: "asking", Method: "GET", Path: "/info"})
			return err
		},
		"AskLog": func(ctx context.Context) error {
			return e.AskLog(ctx, engine.Request{Doing: "asking", Method: "GET", Path: "/info"}, true, io.Discard, io.Discard)
		},
		"ContainerLogs": func(ctx context.Context) error {
			return e.ContainerLogs(ctx, "x", docker.LogOptions{}, io.Discard, io.Discard)
		},
	}
}

// streams has every method with a stream; these have no deadline.
func streams(e *engine.Engine) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"PullImage": func(ctx context.Context) error { return e.PullImage(ctx, "y", nil) },
		"LoadImage": func(ctx context.Context) error { _, err := e.LoadImage(ctx, strings.NewReader("x")); return err },
		"SaveImage": func(ctx context.Context) error { return e.SaveImage(ctx, io.Discard, "y") },
	}
}

// faulty is an engine that gives the same answer to everything but a ping.
func faulty(t *testing.T, answer http.HandlerFunc) *engine.Engine {
	t.Helper()
	return connected(t, &fake{Answers: map[string]http.HandlerFunc{"GET /i*": answer, "GET /c*": answer, "GET /v*": answer, "GET /n*": answer,
		"POST /*": answer, "DELETE /*": answer}})
}

func each(t *testing.T, e *engine.Engine, check func(t *testing.T, call func(context.Context) error)) {
	t.Helper()
	for _, set := range []map[string]func(context.Context) error{calls(e), streams(e)} {
		for name, call := range set {
			t.Run(name, func(t *testing.T) { check(t, call) })
		}
	}
}

func TestCalls_InternalErrorOnOneLine(t *testing.T) {
	e := faulty(t, say(500, asJSON(map[string]string{"message": "the disk\x1b[31m is full\nsecond line"})))
	each(t, e, func(t *testing.T, call func(context.Context) error) {
		err := call(t.Context())
		if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "the disk [31m is full") || strings.Contains(err.Error(), "second line") {
			t.Errorf("%v", err)
		}
	})
}

func TestCalls_HangEndsByDeadline(t *testing.T) {
	e := faulty(t, hang)
	e.SetPatience(50 * time.Millisecond)
	for name, call := range calls(e) {
		t.Run(name, func(t *testing.T) {
			refused(t, call(t.Context()), docker.CauseTimeout, "did not answer within 50ms while ")
		})
	}
}

func TestCalls_Cancelled(t *testing.T) {
	e := faulty(t, hang)
	each(t, e, func(t *testing.T, call func(context.Context) error) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		began := time.Now()
		if err := call(ctx); fault.CodeOf(err) != fault.Interrupted || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := call(ctx); fault.CodeOf(err) != fault.Incomplete {
			t.Errorf("%v", err)
		}
	})
}

func TestCalls_EngineStops(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"in the headers": cut, "in the body": broken(`{"stream":"Step 1/2`), "in the list": broken(`[`)} {
		t.Run(name, func(t *testing.T) {
			each(t, faulty(t, answer), func(t *testing.T, call func(context.Context) error) {
				refused(t, call(t.Context()), docker.CauseGone, "stopped answering while ")
			})
		})
	}
}

func TestCalls_EngineTooNew(t *testing.T) {
	e := faulty(t, say(400, `{"message":"client version 1.41 is too old. Minimum supported API version is 1.60, please upgrade"}`))
	for name, call := range calls(e) {
		t.Run(name, func(t *testing.T) { refused(t, call(t.Context()), docker.CauseVersion, "newer than this keepmum") })
	}
}

func TestCalls_NotFound(t *testing.T) {
	e := faulty(t, say(404, `{"message":"No such thing: x"}`))
	for _, name := range []string{"Image", "RemoveImage"} {
		if err := calls(e)[name](t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"Container", "InspectContainer", "InspectImage", "ImageHistory", "ContainerLogs"} {
		if err := calls(e)[name](t.Context()); !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "No such thing: x") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemoveImage_Conflict(t *testing.T) {
	e := faulty(t, say(409, `{"message":"image is being used"}`))
	if err := e.RemoveImage(t.Context(), "x", false); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "removing the image x: image is being used") {
		t.Errorf("%v", err)
	}
}

// A request's URL contains its arguments.
func TestCalls_HideRequests(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"cut": cut, "500": say(500, ""), "odd": say(200, "<html>")} {
		e := faulty(t, answer)
		_, err := e.Containers(t.Context(), map[string]string{"a": "canary"})
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "filters=") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPullImage_ReportsErrors(t *testing.T) {
	for body, says := range map[string]string{
		`{"status":"Pulling fs layer"}{"errorDetail":{"message":"no space"},"error":"no space left on device"}`: "no space left on device",
		`{"status":"Pulling`: "stopped answering",
		`{"status":1}`:       "unexpected answer",
		`nonsense`:           "unexpected answer",
	} {
		e := connected(t, &fake{Answers: map[string]http.HandlerFunc{"POST /images/create": say(200, body)}})
		err := e.PullImage(t.Context(), "web", nil)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "pulling web") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestPullImage_PassesLinesOn(t *testing.T) {
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{"POST /images/create": say(200, `{"status":"Pulling\u001b"}{"stream":"one\n\ntwo\n"}{"status":""}`)}})
	var said []string
	if err := e.PullImage(t.Context(), "web", func(line string) { said = append(said, line) }); err != nil || !reflect.DeepEqual(said, []string{"Pulling", "one", "two"}) {
		t.Errorf("%q %v", said, err)
	}
}

func TestLoadImage(t *testing.T) {
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{"POST /images/load": say(200, `{"stream":"Loaded image: a:b\n"}{"stream":"Loaded image ID: sha256:0\n"}`)}})
	if got, err := e.LoadImage(t.Context(), strings.NewReader("x")); err != nil || !reflect.DeepEqual(got, []string{"a:b", "sha256:0"}) {
		t.Errorf("%q %v", got, err)
	}
	e = connected(t, &fake{Answers: map[string]http.HandlerFunc{"POST /images/load": say(200, "")}})
	if _, err := e.LoadImage(t.Context(), strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "no image") {
		t.Errorf("%v", err)
	}
}

func TestSaveImage_Nothing(t *testing.T) {
	if err := faulty(t, hang).SaveImage(t.Context(), io.Discard); err == nil {
		t.Error("saved nothing")
	}
}

// An empty selection would mean everything on the engine.
func TestContainers_RefuseEmptySelection(t *testing.T) {
	f := &fake{}
	e := connected(t, f)
	before := len(f.Seen())
	for _, labels := range []map[string]string{nil, {}, {"": "x"}} {
		if _, err := e.Containers(t.Context(), labels); err == nil || !strings.Contains(err.Error(), "no label") {
			t.Errorf("%v: %v", labels, err)
		}
	}
	if after := len(f.Seen()); after != before {
		t.Errorf("the engine was asked: %v", f.Seen())
	}
	args, err := engine.Selection(map[string]string{"b": "", "a": "1"})
	if got := args.Get("label"); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
}

func TestRemoveContainer_WaitsForRemovalInProgress(t *testing.T) {
	tries := 0
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{
		"DELETE /containers/x": func(w http.ResponseWriter, r *http.Request) {
			if tries++; tries < 4 {
				say(409, `{"message":"removal of container x is already in progress"}`)(w, r)
				return
			}
			say(404, `{"message":"No such container: x"}`)(w, r)
		}}})
	if err := engine.RemoveContainer(e, t.Context(), "x"); err != nil || tries != 4 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

func TestContainers_SkipVanished(t *testing.T) {
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{
		"GET /containers/json":   say(200, `[{"Id":"x"},{"Id":"gone"}]`),
		"GET /containers/x/json": say(200, `{"Id":"x","Name":"/web","State":{"Status":"running","Health":{"Status":"none"}},"Config":{"Env":["A=canary","EMPTY=","BARE"]},"Mounts":[{"Type":"bind","Source":"/b","Destination":"/z","RW":true},{"Type":"volume","Name":"v","Destination":"/a"}]}`)}})
	all, err := e.Containers(t.Context(), map[string]string{"x": ""})
	if err != nil || len(all) != 1 || all[0].Name != "web" || all[0].Health != "" || !all[0].Started.IsZero() {
		t.Fatalf("%+v %v", all, err)
	}
	if m := all[0].Mounts; len(m) != 2 || m[0].Name != "v" || !m[0].ReadOnly || m[1].Source != "/b" || m[1].ReadOnly {
		t.Errorf("%+v", m)
	}
	if env := all[0].EnvNames; !reflect.DeepEqual(env, []string{"A"}) {
		t.Errorf("%v", env)
	}
}

func TestInfo_ReadsSecurityAndHidesProxies(t *testing.T) {
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{"GET /info": say(200,
		`{"SecurityOptions":["name=seccomp,profile=default","name=rootless","name=userns","name=selinux"],"HttpProxy":"http://u:canary@p","NoProxy":"x","SystemTime":"2026-11-23T12:00:00.5Z"}`)}})
	info, err := e.Info(t.Context())
	if err != nil || !info.Rootless || !info.UsernsRemap || !info.SELinux || !reflect.DeepEqual(info.Proxies, []string{"HTTP_PROXY", "NO_PROXY"}) || info.Time.IsZero() {
		t.Errorf("%+v %v", info, err)
	}
	if strings.Contains(asJSON(info), "canary") {
		t.Error("a proxy's password leaks")
	}
}

func TestConversions(t *testing.T) {
	for in, want := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "s390x": "s390x"} {
		if got := engine.GoArch(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if got := engine.OneLine("Error response from daemon: " + strings.Repeat("ü", 400)); len([]rune(got)) != 301 {
		t.Errorf("%d", len([]rune(got)))
	}
	if !engine.TimeOf("0001-01-01T00:00:00Z").IsZero() || !engine.TimeOf("x").IsZero() || engine.TimeOf("2026-01-02T03:04:05Z").IsZero() {
		t.Error("times")
	}
}

func TestEngine_NoDockerTypesInSignatures(t *testing.T) {
	typ := reflect.TypeFor[*engine.Engine]()
	if typ.NumMethod() < 15 {
		t.Fatalf("only %d methods", typ.NumMethod())
	}
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		for j := range m.Type.NumIn() {
			foreign(t, m.Name, m.Type.In(j))
		}
		for j := range m.Type.NumOut() {
			foreign(t, m.Name, m.Type.Out(j))
		}
	}
}

func foreign(t *testing.T, name string, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if path := typ.PkgPath(); strings.Contains(path, ".") && !strings.HasPrefix(path, "github.com/keepmum/") {
		t.Errorf("%s: %s", name, typ)
	}
}

func TestRunProbe_CancelledDuringCreate(t *testing.T) {
	made, removed := make(chan string, 1), make(chan string, 1)
	f := &fake{Answers: map[string]http.HandlerFunc{
		"POST /containers/create": func(w http.ResponseWriter, r *http.Request) {
			<-time.After(300 * time.Millisecond) // a slow engine that goes on after the caller has left
			made <- r.URL.Query().Get("name")
			say(201, `{"Id":"x"}`)(w, r)
		},
		"DELETE /containers/*": func(w http.ResponseWriter, r *http.Request) {
			removed <- r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			w.WriteHeader(204)
		}}}
	e := connected(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := e.RunProbe(ctx, docker.Probe{Image: "x"})
	if fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("%v", err)
	}
	select {
	case name := <-made:
		if got := <-removed; got != name || !strings.HasPrefix(name, "keepmum-probe-") {
			t.Errorf("created %s, removed %s", name, got)
		}
	default:
		t.Error("did not wait for the creation to end")
	}
}

func TestRunProbe_RemovedAfterFault(t *testing.T) {
	for name, answers := range map[string]map[string]http.HandlerFunc{
		"create fails":        {"POST /containers/create": say(500, `{"message":"full"}`)},
		"create is cut off":   {"POST /containers/create": cut},
		"attach fails":        {"POST /containers/create": say(201, `{"Id":"x"}`)},
		"create answers half": {"POST /containers/create": say(201, `{`)},
	} {
		t.Run(name, func(t *testing.T) {
			removed := 0
			answers["DELETE /containers/*"] = func(w http.ResponseWriter, _ *http.Request) { removed++; w.WriteHeader(204) }
			_, err := connected(t, &fake{Answers: answers}).RunProbe(t.Context(), docker.Probe{Image: "x"})
			if err == nil || removed != 1 {
				t.Errorf("%v, removed %d times", err, removed)
			}
		})
	}
}

func TestProbeConfig(t *testing.T) {
	config, host := engine.ProbeConfig(docker.Probe{Image: "x", User: "7", ReadOnly: true, Labels: map[string]string{"a": "b"},
		Mounts: []docker.Mount{{Type: "bind", Source: "/s", Destination: "/d", ReadOnly: true}, {Type: "volume", Name: "v", Destination: "/v"}}})
	if config.Labels[docker.LabelProbe] == "" || config.Labels["a"] != "b" || config.User != "7" || len(config.Env) != 0 || !config.NetworkDisabled {
		t.Errorf("%+v", config)
	}
	if host.NetworkMode != "none" || !host.ReadonlyRootfs || !reflect.DeepEqual([]string(host.CapDrop), []string{"ALL"}) || !host.AutoRemove || host.Privileged ||
		!reflect.DeepEqual(host.SecurityOpt, []string{"no-new-privileges"}) || host.LogConfig.Type != "none" {
		t.Errorf("%+v", host)
	}
	if m := host.Mounts; len(m) != 2 || m[0].Source != "/s" || !m[0].ReadOnly || m[1].Source != "v" || m[1].ReadOnly {
		t.Errorf("%+v", m)
	}
}

func TestContainerLogs_CutOff(t *testing.T) {
	frame := append([]byte{1, 0, 0, 0, 0, 0, 0, 9}, "half"...)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		cause  docker.Cause
	}{
		"connection": {broken(string(frame)), docker.CauseGone},
		"frame":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(frame) }, docker.CauseGone},
	} {
		t.Run(name, func(t *testing.T) {
			e := connected(t, &fake{Answers: map[string]http.HandlerFunc{
				"GET /containers/web/json": say(200, `{"Id":"x","Config":{}}`), "GET /containers/x/logs": c.answer}})
			var to logTo
			refused(t, readLog(t, e, &to), c.cause, "while reading the log of web")
			if to.out.String() != "half" {
				t.Errorf("got %q", to.out.String())
			}
		})
	}
}

func TestContainerLogs_WithoutTimestamps(t *testing.T) {
	var query string
	e := connected(t, &fake{Answers: map[string]http.HandlerFunc{
		"GET /containers/web/json": say(200, `{"Id":"x","Config":{"Tty":true}}`),
		"GET /containers/x/logs": func(w http.ResponseWriter, r *http.Request) {
			query = r.URL.RawQuery
			_, _ = io.WriteString(w, "raw\r\n")
		}}})
	var out bytes.Buffer
	err := e.ContainerLogs(t.Context(), "web", docker.LogOptions{Follow: true, Tail: 5, Since: time.Unix(7, 80)}, &out, io.Discard)
	if err != nil || out.String() != "raw\r\n" || strings.Contains(query, "timestamps") || strings.Contains(query, "details") {
		t.Errorf("%v %q %s", err, out.String(), query)
	}
	for _, want := range []string{"follow=1", "tail=5", "since=7.000000080", "stdout=1", "stderr=1"} {
		if !strings.Contains(query, want) {
			t.Errorf("%s lacks %s", query, want)
		}
	}
}
