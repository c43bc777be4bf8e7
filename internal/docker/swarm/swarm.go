package swarm

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// Options are the settings of a [Swarm]. The zero value is that of the docker
// command.
type Options struct {
	ConfigDir string                      // of the docker configuration; "": the engine's
	LookupEnv func(string) (string, bool) // nil: os.LookupEnv
	Registry  time.Duration               // how long a registry or a credential helper may take; 0: 10 s
}

// Swarm is the Swarm of one engine. It is safe for concurrent use.
type Swarm struct {
	engine    *engine.Engine
	configDir string
	lookupEnv func(string) (string, bool)
	registry  time.Duration

	mu       sync.Mutex
	names    map[string]string      // of services, by id
	resolved map[string]resolution  // by image
	logins   map[string]credentials // by registry
}

// New returns the Swarm of an engine. The engine stays the caller's to close.
func New(e *engine.Engine, o Options) *Swarm {
	s := &Swarm{
		engine: e, configDir: cmp.Or(o.ConfigDir, e.ConfigDir()), lookupEnv: o.LookupEnv, registry: cmp.Or(o.Registry, 10*time.Second),
		names: map[string]string{}, resolved: map[string]resolution{}, logins: map[string]credentials{},
	}
	if s.lookupEnv == nil {
		s.lookupEnv = os.LookupEnv
	}
	return s
}

// Endpoint returns which engine this is and who chose it.
func (s *Swarm) Endpoint() docker.Endpoint { return s.engine.Endpoint() }

// Manager returns the engine's role. If it is no manager of an active Swarm, or
// if the Swarm has no leader, it returns an error of the code fault.NoEngine.
func (s *Swarm) Manager(ctx context.Context) (docker.Swarm, error) {
	info, err := s.engine.Info(ctx)
	if err != nil {
		return docker.Swarm{}, err
	}
	if err := s.role(info.Swarm); err != nil {
		return docker.Swarm{}, err
	}
	// Only an answer to this shows that there is a leader: the engine's own
	// information comes without one.
	_, err = s.get(ctx, "asking for the Swarm's managers", "/nodes", url.Values{"filters": {`{"role":{"manager":true}}`}})
	return info.Swarm, err
}

// TakesValues returns an error if values would be sent by TCP without TLS to
// another machine. A loopback port is allowed: what listens there is on this
// machine, or a tunnel to another one, as ssh -L makes it.
func (s *Swarm) TakesValues() error {
	if !s.engine.InClear() {
		return nil
	}
	at := s.Endpoint()
	return &fault.Error{
		Code: fault.NoEngine, What: "the engine at " + at.Host + " (" + at.Source + ") is reached by TCP without TLS: everybody on the way could read the values",
		Next: "use ssh://user@host, or TLS (DOCKER_TLS_VERIFY=1, or a context with certificates)",
	}
}

// get returns the answer to a question.
func (s *Swarm) get(ctx context.Context, doing, path string, query url.Values) ([]byte, error) {
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodGet, Path: path, Query: query})
	return answer, s.explain(err)
}

// remove removes one object, by its id.
func (s *Swarm) remove(ctx context.Context, kind, id string) error {
	doing := "removing the " + kind + " " + fault.Printable(id)
	if err := known(doing, kind, id); err != nil {
		return err
	}
	_, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodDelete, Path: "/" + kind + "s/" + id})
	return s.explain(err)
}

// anID matches what can be an id or a name in a path. An empty one would be
// another request.
var anID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// known returns an error if an id cannot be one.
func known(doing, kind, id string) error {
	if anID.MatchString(id) {
		return nil
	}
	return &fault.Error{Code: fault.Failed, What: doing + ": no such " + kind, Cause: docker.ErrNotFound}
}

// decode reads the engine's JSON. What encoding/json says of it may quote it.
func decode(doing string, answer []byte, into any) error {
	if json.Unmarshal(answer, into) != nil {
		return notUnderstood(doing)
	}
	return nil
}

func notUnderstood(doing string) error {
	return &fault.Error{Code: fault.Failed, What: doing + ": the engine's answer is not understood", Next: "mage engine:doctor"}
}

// encode returns a body that is known to have an encoding.
func encode(body any) []byte {
	data, err := json.Marshal(body)
	if err != nil {
		return []byte("null") // no type of this package does that
	}
	return data
}

// version is the query of a change to the version of an object.
func version(index uint64) url.Values {
	return url.Values{"version": {strconv.FormatUint(index, 10)}}
}

// meta is what every object of a Swarm has.
type meta struct {
	ID        string
	Version   struct{ Index uint64 }
	CreatedAt time.Time
	UpdatedAt time.Time
}

// annotated is the part of a specification that every object has.
type annotated struct {
	Name   string
	Labels map[string]string
	Data   []byte `json:",omitempty"`
}
