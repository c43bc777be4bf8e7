package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	demoToken    = "STRICT_API_TOKEN"
	demoPatience = 90 * time.Second // for a prediction that market and Elo are both in
	demoScores   = 60 * time.Second // beyond it, for the first scores of finished games
	demoPoll     = 500 * time.Millisecond
)

// API asks the stack's API.
type API interface {
	// Get returns the status and body of an answer; the error holds no value.
	Get(ctx context.Context, path string, token secrets.Secret) (status int, body []byte, err error)
}

// LogSweep searches the logs of containers for known values.
type LogSweep interface {
	// SweepLogs returns an error of class Leak where it found one, of class
	// Incomplete where it could not read a log to its end.
	SweepLogs(ctx context.Context, known []secrets.Known, containers []docker.Container) (LogsRead, error)
}

// LogsRead tells how much was searched.
type LogsRead struct {
	Logs     int   `json:"logs"`
	Bytes    int64 `json:"bytes"`
	Canaries int   `json:"canaries"` // planted in the search, and found
	Hits     int   `json:"hits"`
}

// Demo starts the reference stack with throw-away secrets in a directory of its
// own, shows a prediction, and searches the logs. Its Up works on that
// directory; Source is the project that the compose file is taken from.
type Demo struct {
	Source   project.Workspace
	Up       stack.Up
	API      API
	Sweep    LogSweep
	Progress fault.Progress

	ComposeFile string
}

// Result is what the demo showed.
type Result struct {
	Stack      stack.UpResult `json:"stack"`
	Health     string         `json:"health"`
	Prediction Prediction     `json:"prediction"`
	Scores     []Evaluation   `json:"scores"` // of finished games; empty until one is
	Logs       LogsRead       `json:"logs"`
}

// Prediction is one prediction, with what it was made of. The numbers are
// probabilities that the home team wins.
type Prediction struct {
	Home     string    `json:"home"`
	Away     string    `json:"away"`
	Commence time.Time `json:"commence"`
	Pooled   float64   `json:"pooled"`
	Market   float64   `json:"market"`
	Elo      float64   `json:"elo"`
}

// Evaluation is how well one input predicted the finished games.
type Evaluation struct {
	Input   string  `json:"input"`
	Games   int     `json:"games"`
	LogLoss float64 `json:"logLoss"` // in nats a game; a coin has 0.693
}

// Run prepares, starts, asks and searches.
func (u Demo) Run(ctx context.Context) (Result, error) {
	var result Result
	if err := u.prepare(ctx); err != nil {
		return result, err
	}
	var err error
	if result.Stack, err = u.Up.Run(ctx); err != nil {
		return result, err
	}
	token, _, _, err := project.Stored(u.Up.Values, demoToken)
	if err != nil {
		return result, err
	}
	if result.Health, err = u.health(ctx); err != nil {
		return result, err
	}
	u.Progress.Say("waiting for a prediction, and for the scores of the games that were played")
	if err := u.predict(ctx, token, &result); err != nil {
		return result, err
	}
	result.Logs, err = u.search(ctx, result.Stack.Project)
	return result, err
}

// prepare copies the compose file, scaffolds, and makes the values that are
// missing.
func (u Demo) prepare(ctx context.Context) error {
	source, err := project.LoadManifest(u.Source, u.ComposeFile)
	if err != nil {
		return err
	}
	data, err := u.Source.Read(source.File)
	if err != nil {
		return err
	}
	if err := u.Up.Project.Replace("docker-compose.yml", data); err != nil {
		return err
	}
	if _, err := (values.Init{Project: u.Up.Project, Values: u.Up.Values}).Run(ctx); err != nil {
		return err
	}
	batch := map[string]secrets.Secret{}
	for _, d := range source.Secrets {
		_, _, there, err := project.Stored(u.Up.Values, d.Name)
		if err != nil && !errors.Is(err, project.ErrContent) {
			return err
		}
		if there || d.Optional {
			continue
		}
		if d.Generate == nil {
			return &fault.Error{Code: fault.Invalid, What: d.Name + " has no generate rule: the demo cannot make a throw-away value", Next: "mage secrets:set, then mage stack:up"}
		}
		if batch[d.Name], err = values.NewValue(d, rand.Reader); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	u.Progress.Say("made %s", fault.Count(len(batch), "throw-away secret"))
	unlock, err := u.Up.Values.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return u.Up.Values.Write(ctx, batch)
}

// health asks for /health, without the token.
func (u Demo) health(ctx context.Context) (string, error) {
	status, body, err := u.API.Get(ctx, "/health", secrets.Secret{})
	if err != nil {
		return "", err
	}
	var answer struct{ Status string }
	if json.Unmarshal(body, &answer) != nil || status != 200 || answer.Status != "ok" {
		return "", &fault.Error{Code: fault.Failed, What: fmt.Sprintf("strict-api answers /health with %d", status), Next: "mage stack:status"}
	}
	return answer.Status, nil
}

// predict polls until the API has a prediction that both inputs are in, and
// after it, for a while, until there are scores.
func (u Demo) predict(ctx context.Context, token secrets.Secret, result *Result) error {
	began := time.Now()
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		status, body, err := u.API.Get(ctx, "/predictions?limit=20", token)
		if err == nil && status != 200 {
			return &fault.Error{Code: fault.Failed, What: fmt.Sprintf("strict-api answers /predictions with %d", status), Next: "mage stack:status"}
		}
		predicted := err == nil && readPrediction(body, result)
		waited := time.Since(began)
		if predicted && (len(result.Scores) > 0 || waited > demoPatience+demoScores) {
			return nil
		}
		if !predicted && waited > demoPatience {
			return &fault.Error{Code: fault.Incomplete, What: "no prediction within " + demoPatience.String(), Next: "docker logs keepmum-demo-prediction-service-1"}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// readPrediction takes the first prediction that both inputs are in out of an
// answer, and the scores, and says whether there was one.
func readPrediction(body []byte, result *Result) bool {
	var answer struct {
		Events []struct {
			Home, Away string
			Commence   time.Time
			Prediction struct{ Home, Market, Elo float64 }
		}
		Evaluations []struct {
			Input   string
			Games   int
			LogLoss float64 `json:"log_loss"`
		}
	}
	if json.Unmarshal(body, &answer) != nil {
		return false
	}
	found := false
	for _, e := range answer.Events {
		if p := e.Prediction; p.Market > 0 && p.Elo > 0 {
			result.Prediction = Prediction{Home: e.Home, Away: e.Away, Commence: e.Commence, Pooled: p.Home, Market: p.Market, Elo: p.Elo}
			found = true
			break
		}
	}
	result.Scores = []Evaluation{}
	for _, e := range answer.Evaluations {
		result.Scores = append(result.Scores, Evaluation{e.Input, e.Games, e.LogLoss})
	}
	sort.Slice(result.Scores, func(i, j int) bool { return result.Scores[i].LogLoss < result.Scores[j].LogLoss })
	return found
}

// search sweeps the logs of every container of the demo.
func (u Demo) search(ctx context.Context, name string) (LogsRead, error) {
	m, err := project.LoadManifest(u.Up.Project, "")
	if err != nil {
		return LogsRead{}, err
	}
	known, err := u.Up.Known(m)
	if err != nil {
		return LogsRead{}, err
	}
	ports, err := u.Up.Connect(ctx)
	if err != nil {
		return LogsRead{}, err
	}
	all, err := stack.Containers(ctx, ports.Engine, name)
	if err != nil {
		return LogsRead{}, err
	}
	return u.Sweep.SweepLogs(ctx, known, all)
}

// Exists tells whether a demo directory was prepared there.
func Exists(project project.Workspace) (bool, error) {
	_, err := project.Read("docker-compose.yml")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
