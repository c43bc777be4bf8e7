package swarm_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// noEngine requires an error of the code fault.NoEngine with this cause and
// these words, and a way out.
func noEngine(t *testing.T, err error, cause docker.Cause, words, next string) {
	t.Helper()
	var why *docker.Failure
	var shown *fault.Error
	switch {
	case fault.CodeOf(err) != fault.NoEngine || !errors.As(err, &why) || !errors.As(err, &shown):
		t.Errorf("code %d: %v", fault.CodeOf(err), err)
	case why.Cause != cause || why.Endpoint.Host == "" || !strings.Contains(err.Error(), words) || !strings.Contains(shown.Next, next) || shown.Next == "":
		t.Errorf("%s: %v (%s)", why.Cause, err, shown.Next)
	}
}

// What an engine answers if it cannot be used as a manager, measured on 20.10.
func TestCalls_SwarmThatCannotBeUsedIsNoEngine(t *testing.T) {
	for _, c := range []struct {
		status            int
		said, words, next string
	}{
		{500, "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.", "without a leader", "wait half a minute"},
		{500, "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status", "without a leader", "wait half a minute"},
		{500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", "without a leader", "start the other managers"},
		{503, "rpc error: code = Unavailable desc = connection error", "without a leader", "start the other managers"},
		{503, "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.", "is a worker of its Swarm", "choose a manager"},
		{503, "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.", "is not in a Swarm", "docker swarm init"},
		{503, "This node is not part of a swarm", "is not in a Swarm", "docker swarm init"},
		{503, "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it.", "a Swarm that is locked", "docker swarm unlock"},
	} {
		t.Run(c.words, func(t *testing.T) {
			each(t, refuse(c.status, c.said), settings{}, func(t *testing.T, name string, call func(context.Context) error) {
				if name == "HasImage" || name == "ResolveImage" || name == "Manager" {
					return // these ask the engine alone, no manager
				}
				noEngine(t, call(t.Context()), docker.CauseSwarm, c.words, c.next)
			})
		})
	}
}

func TestCalls_HangEndsByDeadline(t *testing.T) {
	each(t, hang, settings{deadline: 50 * time.Millisecond}, func(t *testing.T, _ string, call func(context.Context) error) {
		noEngine(t, call(t.Context()), docker.CauseTimeout, "did not answer within 50ms while ", "mage engine:doctor")
	})
}

// A log that begins and does not end has the same deadline.
func TestTaskLogs_HangInTheMiddleEndsByDeadline(t *testing.T) {
	s := connect(t, &fake{other: func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("\x01\x00\x00\x00\x00\x00\x00\x03one"))
		w.(http.Flusher).Flush()
		hang(w, r)
	}}, settings{deadline: 100 * time.Millisecond})
	var out strings.Builder
	err := s.TaskLogs(t.Context(), docker.Task{ID: "id"}, 0, &out, io.Discard)
	noEngine(t, err, docker.CauseTimeout, "did not answer", "mage engine:doctor")
	if out.String() != "one" {
		t.Errorf("%q", out.String())
	}
}

func TestCalls_Cancelled(t *testing.T) {
	each(t, hang, settings{}, func(t *testing.T, _ string, call func(context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := call(ctx); fault.CodeOf(err) != fault.Incomplete {
			t.Errorf("a deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		began := time.Now()
		if err := call(ctx); fault.CodeOf(err) != fault.Interrupted || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestCalls_CutOffAnswerIsGone(t *testing.T) {
	for name, raw := range map[string]string{
		"at once": "", "in the head": "HTTP/1.1 200 O", "in the body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"",
		"in a refusal": "HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{", "no HTTP at all": "canary\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			each(t, broken(raw), settings{}, func(t *testing.T, name string, call func(context.Context) error) {
				err := call(t.Context())
				if strings.Contains(raw, "canary") && (name == "Manager" || name == "HasImage") {
					return // these go through the client of docker/docker
				}
				noEngine(t, err, docker.CauseGone, "stopped answering while ", "mage engine:doctor")
				if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "127.0.0.1:") && strings.Contains(err.Error(), "/v1.") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestCalls_AnswerThatIsNotUnderstoodIsNotQuoted(t *testing.T) {
	silent := []string{"RemoveSecret", "RemoveConfig", "RemoveService", "RemoveNetwork", "TaskLogs"} // these have no answer, or bytes
	for _, body := range []string{`"canary"`, `{"canary":`, `[{"ID":"1","Spec":"canary","Labels":"canary"}]`, `[{"ID":{"canary":1}}]`, ``, `7`} {
		each(t, say(200, body), settings{}, func(t *testing.T, name string, call func(context.Context) error) {
			if slices.Contains(silent, name) || name == "Manager" || name == "HasImage" {
				return
			}
			err := call(t.Context())
			if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "is not understood") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", body, err)
			}
		})
	}
}

func TestCalls_RefusalIsOneLine(t *testing.T) {
	each(t, refuse(500, "the disk\x1b[31m is full\nsecond line"), settings{}, func(t *testing.T, name string, call func(context.Context) error) {
		err := call(t.Context())
		if name == "CreateSecret" {
			if !strings.Contains(err.Error(), "refused it with status 500") || strings.Contains(err.Error(), "disk") {
				t.Errorf("%v", err)
			}
			return
		}
		if fault.CodeOf(err) != fault.Failed || !strings.HasSuffix(err.Error(), ": the disk [31m is full") {
			t.Errorf("%v", err)
		}
	})
}

// A redirect would send the request to somebody else, and is not an answer.
func TestCalls_RedirectIsNotFollowed(t *testing.T) {
	each(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("it was followed")
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}, settings{}, func(t *testing.T, name string, call func(context.Context) error) {
		if err := call(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

func TestCauses_OfTheEnginesWords(t *testing.T) {
	for _, c := range []struct {
		status int
		said   string
		want   error
	}{
		{404, "secret id not found", docker.ErrNotFound},
		{409, "rpc error: code = AlreadyExists desc = config a already exists", docker.ErrExists},
		{400, "rpc error: code = InvalidArgument desc = config 'a' is in use by the following service: web", docker.ErrInUse},
		{403, "error while removing network: network a id 1 has active endpoints", docker.ErrInUse},
		{409, "network a is in use by service web", docker.ErrInUse},
		{500, "rpc error: code = Unknown desc = update out of sequence", docker.ErrOutOfDate},
		{400, "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component", nil},
		{500, "", nil},
	} {
		s := connect(t, &fake{other: refuse(c.status, c.said)}, settings{})
		for name, err := range map[string]error{"RemoveConfig": s.RemoveConfig(t.Context(), "id"), "RemoveNetwork": s.RemoveNetwork(t.Context(), "id")} {
			for _, cause := range []error{docker.ErrNotFound, docker.ErrExists, docker.ErrInUse, docker.ErrOutOfDate} {
				if errors.Is(err, cause) != (cause == c.want) {
					t.Errorf("%s %d %q: %v is %v", name, c.status, c.said, err, cause)
				}
			}
			if fault.CodeOf(err) != fault.Failed || !strings.HasPrefix(err.Error(), "removing the "+strings.ToLower(name[6:])+" id: ") || c.said != "" && !strings.HasSuffix(err.Error(), c.said) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCauses_OutOfDateSaysWhatToDo(t *testing.T) {
	s := connect(t, &fake{other: refuse(500, "update out of sequence")}, settings{})
	_, err := s.UpdateService(t.Context(), "id", 7, parsed(t, aSpec))
	var shown *fault.Error
	if !errors.As(err, &shown) || shown.Next != "the same command again" {
		t.Errorf("%#v", err)
	}
}

// An empty id would be the request of a list.
func TestCalls_IDThatCannotBeOneIsNotSent(t *testing.T) {
	f := &fake{other: say(200, `[]`)}
	s := connect(t, f, settings{})
	f.requests()
	for _, id := range []string{"", "a/b", "..", "a?b=c", "a%2fb", "-a", "a b"} {
		for name, call := range map[string]func() error{
			"Service":       func() error { _, err := s.Service(t.Context(), id); return err },
			"UpdateService": func() error { _, err := s.UpdateService(t.Context(), id, 1, parsed(t, aSpec)); return err },
			"RelabelConfig": func() error { return s.RelabelConfig(t.Context(), id, 1, nil) },
			"TaskLogs":      func() error { return s.TaskLogs(t.Context(), docker.Task{ID: id}, 0, io.Discard, io.Discard) },
			"RemoveSecret":  func() error { return s.RemoveSecret(t.Context(), id) },
			"RemoveConfig":  func() error { return s.RemoveConfig(t.Context(), id) },
			"RemoveService": func() error { return s.RemoveService(t.Context(), id) },
			"RemoveNetwork": func() error { return s.RemoveNetwork(t.Context(), id) },
		} {
			if err := call(); !errors.Is(err, docker.ErrNotFound) || fault.CodeOf(err) != fault.Failed {
				t.Errorf("%s %q: %v", name, id, err)
			}
		}
	}
	if got := f.lines(); len(got) > 0 {
		t.Errorf("sent: %q", got)
	}
}

// shown is all that a program could print of an error.
func shown(err error) string {
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for ; err != nil; err = errors.Unwrap(err) {
		text += fmt.Sprintf(" %v %#v", err, err)
	}
	return text
}

// The other side quotes the request in every way that it has.
func TestCreateSecret_NoErrorHasTheValue(t *testing.T) {
	quoted := func(how func(w http.ResponseWriter, r *http.Request, body string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			how(w, r, value+" "+string(body))
		}
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(value))
	matcher := redact.New([]secrets.Known{{Name: "VALUE", Value: secrets.New([]byte(value))}})
	for name, answer := range map[string]http.HandlerFunc{
		"400": quoted(func(w http.ResponseWriter, r *http.Request, text string) { refuse(400, text)(w, r) }),
		"409": quoted(func(w http.ResponseWriter, r *http.Request, text string) { refuse(409, text)(w, r) }),
		"500": quoted(func(w http.ResponseWriter, r *http.Request, text string) { refuse(500, text)(w, r) }),
		"no quorum": quoted(func(w http.ResponseWriter, r *http.Request, text string) {
			refuse(500, "does not have a leader"+text)(w, r)
		}),
		"a name": quoted(func(w http.ResponseWriter, r *http.Request, text string) { refuse(400, "invalid name "+text)(w, r) }),
		"text": quoted(func(w http.ResponseWriter, _ *http.Request, text string) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, text)
		}),
		"answer":   quoted(func(w http.ResponseWriter, r *http.Request, text string) { say(200, text)(w, r) }),
		"JSON":     quoted(func(w http.ResponseWriter, r *http.Request, text string) { say(200, `{"ID":[`+encoded)(w, r) }),
		"raw":      quoted(func(w http.ResponseWriter, r *http.Request, text string) { broken(text)(w, r) }),
		"raw head": quoted(func(w http.ResponseWriter, r *http.Request, text string) { broken("HTTP/1.1 "+text+"\r\n\r\n")(w, r) }),
	} {
		f := &fake{other: answer}
		_, err := connect(t, f, settings{}).CreateSecret(t.Context(), "a", nil, secrets.New([]byte(value)))
		if err == nil || len(matcher.Find([]byte(shown(err)))) > 0 {
			t.Errorf("%s: %s", name, shown(err))
		}
		if got := f.requests(); len(got) != 1 || !strings.Contains(got[0].body, encoded) {
			t.Errorf("%s: the value was not sent once: %d requests", name, len(got))
		}
	}
	// The search finds what it looks for: an error of another request does quote.
	_, err := connect(t, &fake{other: refuse(500, value)}, settings{}).CreateConfig(t.Context(), "a", nil, nil)
	if len(matcher.Find([]byte(shown(err)))) == 0 {
		t.Errorf("nothing is found in %v", err)
	}
}

func TestCreateSecret_KnownRefusalsHaveWords(t *testing.T) {
	for said, want := range map[string]string{
		"rpc error: code = AlreadyExists desc = secret a already exists":                                                                            "creating the Swarm secret a: there is one of this name",
		"rpc error: code = InvalidArgument desc = invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be": "creating the Swarm secret a: a Swarm takes names of 1 to 64 letters, digits, and - _ . between them",
		"something else": "creating the Swarm secret a: the engine refused it with status 400; its words are withheld, because they could quote the value",
	} {
		status := 400
		if strings.Contains(said, "AlreadyExists") {
			status = 409
		}
		_, err := connect(t, &fake{other: refuse(status, said)}, settings{}).CreateSecret(t.Context(), "a", nil, secrets.New([]byte(value)))
		if err == nil || err.Error() != want || errors.Is(err, docker.ErrExists) != (status == 409) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// inClear connects by TCP without TLS to an address that is not a loopback one.
func inClear() settings { return settings{host: unspecified} }

func TestTakesValues_NotInClear(t *testing.T) {
	for name, c := range map[string]struct {
		with settings
		ok   bool
	}{
		"loopback": {settings{}, true}, "in clear": {inClear(), false}, "TLS": {settings{host: unspecified, tls: true}, true},
	} {
		f := &fake{answers: map[string]http.HandlerFunc{"POST /secrets/create": say(201, `{"ID":"made"}`)}}
		s := connect(t, f, c.with)
		f.requests()
		err := s.TakesValues()
		id, created := s.CreateSecret(t.Context(), "a", nil, secrets.New([]byte(value)))
		sent := len(f.requests())
		if c.ok && (err != nil || created != nil || id != "made" || sent != 1) || !c.ok && (fault.CodeOf(err) != fault.NoEngine || fault.CodeOf(created) != fault.NoEngine || sent != 0) {
			t.Errorf("%s: %v; %v; %d requests", name, err, created, sent)
		}
		if !c.ok && !strings.Contains(err.Error(), "by TCP without TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManager_IsOneWithALeader(t *testing.T) {
	info := func(swarm string) http.HandlerFunc { return say(200, `{"ID":"e","OSType":"linux","Swarm":`+swarm+`}`) }
	const manager = `{"LocalNodeState":"active","ControlAvailable":true,"NodeID":"n1","Cluster":{"ID":"c1"}}`
	f := &fake{answers: map[string]http.HandlerFunc{"GET /info": info(manager), "GET /nodes": say(200, `[]`)}}
	got, err := connect(t, f, settings{}).Manager(t.Context())
	if want := (docker.Swarm{State: "active", Manager: true, NodeID: "n1", Cluster: "c1"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if lines := f.lines(); !slices.Equal(lines, []string{"GET /info", "GET /nodes?filters=%7B%22role%22%3A%7B%22manager%22%3Atrue%7D%7D"}) {
		t.Errorf("%q", lines)
	}
	for _, c := range []struct{ swarm, words, next string }{
		{`{"LocalNodeState":"inactive"}`, "is not in a Swarm", "docker swarm init"},
		{`{"LocalNodeState":""}`, "is not in a Swarm", "docker swarm init"},
		{`{"LocalNodeState":"active"}`, "is a worker of its Swarm: only a manager can change it", "choose a manager"},
		{`{"LocalNodeState":"locked"}`, "is in a Swarm that is locked", "docker swarm unlock"},
		{`{"LocalNodeState":"pending"}`, "has not joined its Swarm: pending", "docker node ls"},
		{`{"LocalNodeState":"error","Error":"no\ncertificate"}`, "has not joined its Swarm: error: no", "docker info"},
	} {
		_, err := connect(t, &fake{answers: map[string]http.HandlerFunc{"GET /info": info(c.swarm), "GET /nodes": say(200, `[]`)}}, settings{}).Manager(t.Context())
		noEngine(t, err, docker.CauseSwarm, c.words, c.next)
		if strings.Contains(err.Error(), "certificate") {
			t.Errorf("more than a line: %v", err)
		}
	}
	leaderless := &fake{answers: map[string]http.HandlerFunc{"GET /info": info(manager), "GET /nodes": refuse(500, "The swarm does not have a leader.")}}
	_, err = connect(t, leaderless, settings{}).Manager(t.Context())
	noEngine(t, err, docker.CauseSwarm, "without a leader", "wait half a minute")
}

func TestNew_HasTheEnginesEndpoint(t *testing.T) {
	s := connect(t, &fake{}, settings{Options: swarm.Options{Registry: time.Second}})
	if at := s.Endpoint(); at.Source != "DOCKER_HOST" || !strings.HasPrefix(at.Host, "tcp://127.0.0.1:") || at.Remote {
		t.Errorf("%+v", at)
	}
}
