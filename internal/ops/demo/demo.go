// Package demo holds the use case that shows the reference stack: it starts it
// with throw-away secrets in its own directory, shows a prediction, and searches
// every log for every value.
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

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	composeFile = "docker-compose.yml"
	tokenName   = "STRICT_API_TOKEN"
	patience    = 90 * time.Second // for a prediction that market and Elo are both in
	scoresWait  = 60 * time.Second // beyond it, for the first scores of finished games
	poll        = 500 * time.Millisecond
)

// API asks the stack's API.
type API interface {
	// Get returns the status and body of an answer; the error holds no value.
	Get(ctx context.Context, path string, token secrets.Secret) (status int, body []byte, err error)
}

// LogsRead says how much was searched.
type LogsRead struct {
	Logs     int   `json:"logs"`
	Bytes    int64 `json:"bytes"`
	Canaries int   `json:"canaries"` // planted in the search, and found
	Hits     int   `json:"hits"`
}

// Config is what the demo works with.
type Config struct {
	Source project.Project // the compose file is taken from here
	Stack  *stack.Stack    // over the demo's own directory
	API    API
	Remove func() error // removes the demo's directory
}

// Demo is the use case.
type Demo struct{ Config }

// New makes the use case.
func New(c Config) *Demo { return &Demo{c} }

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
func (d *Demo) Run(ctx context.Context) (Result, error) {
	var result Result
	values, err := d.prepare(ctx)
	if err != nil {
		return result, err
	}
	if result.Stack, err = d.Stack.Up(ctx, stack.UpOptions{}); err != nil {
		return result, err
	}
	token, _, err := values.Read(tokenName)
	if err != nil {
		return result, err
	}
	if result.Health, err = d.health(ctx); err != nil {
		return result, err
	}
	d.Source.Progress.Say("waiting for a prediction, and for the scores of the games that were played")
	if result.Prediction, result.Scores, err = d.predict(ctx, token); err != nil {
		return result, err
	}
	result.Logs, err = d.search(ctx, result.Stack.Project)
	return result, err
}

// Clean removes the demo's stack, with its volumes, and its directory.
func (d *Demo) Clean(ctx context.Context) error {
	switch _, err := d.Stack.Project.Workspace.Read(composeFile); {
	case errors.Is(err, fs.ErrNotExist): // it was never prepared
	case err != nil:
		return err
	default:
		if _, err := d.Stack.Down(ctx, stack.DownOptions{Volumes: true}); err != nil {
			return err
		}
	}
	return d.Remove()
}

// prepare copies the compose file, scaffolds, and makes the values that are
// missing. It returns the values.
func (d *Demo) prepare(ctx context.Context) (*project.Snapshot, error) {
	source, err := d.Source.LoadManifest()
	if err != nil {
		return nil, err
	}
	data, err := d.Source.Workspace.Read(source.Manifest.File)
	if err != nil {
		return nil, err
	}
	own := d.Stack.Project
	if err := own.Workspace.Replace(composeFile, data); err != nil {
		return nil, err
	}
	if _, err := d.Stack.Values.Init(ctx, false); err != nil {
		return nil, err
	}
	return own.Store.Update(ctx, func(now *project.Snapshot) (project.Batch, error) {
		batch := project.Batch{Write: map[string]secrets.Secret{}}
		for _, declared := range source.Manifest.Secrets {
			_, there, err := now.Read(declared.Name)
			if err != nil && !errors.Is(err, project.ErrContent) {
				return batch, err
			}
			if there && err == nil || declared.Optional {
				continue
			}
			if declared.Generate == nil {
				return batch, &fault.Error{Code: fault.Invalid, What: declared.Name + " has no generate rule: the demo cannot make a throw-away value", Next: "mage secrets:set, then mage stack:up"}
			}
			if batch.Write[declared.Name], err = values.Generated(declared, rand.Reader); err != nil {
				return batch, err
			}
		}
		if len(batch.Write) > 0 {
			d.Source.Progress.Say("made %s", fault.Count(len(batch.Write), "throw-away secret"))
		}
		return batch, nil
	})
}

// health asks for /health, without the token.
func (d *Demo) health(ctx context.Context) (string, error) {
	status, body, err := d.API.Get(ctx, "/health", secrets.Secret{})
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
func (d *Demo) predict(ctx context.Context, token secrets.Secret) (Prediction, []Evaluation, error) {
	began := time.Now()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		status, body, err := d.API.Get(ctx, "/predictions?limit=20", token)
		if err == nil && status != 200 {
			return Prediction{}, nil, &fault.Error{Code: fault.Failed, What: fmt.Sprintf("strict-api answers /predictions with %d", status), Next: "mage stack:status"}
		}
		prediction, scores, found := readPrediction(body)
		waited := time.Since(began)
		switch {
		case err == nil && found && (len(scores) > 0 || waited > patience+scoresWait):
			return prediction, scores, nil
		case !(err == nil && found) && waited > patience:
			return Prediction{}, nil, &fault.Error{Code: fault.Incomplete, What: "no prediction within " + patience.String(), Next: "docker logs " + d.Stack.Project.Name + "-prediction-service-1"}
		}
		select {
		case <-ctx.Done():
			return Prediction{}, nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// readPrediction takes the first prediction that both inputs are in out of an
// answer, and the scores, best first, and reports whether there was one.
func readPrediction(body []byte) (prediction Prediction, scores []Evaluation, found bool) {
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
		return prediction, nil, false
	}
	for _, e := range answer.Events {
		if p := e.Prediction; p.Market > 0 && p.Elo > 0 {
			prediction = Prediction{Home: e.Home, Away: e.Away, Commence: e.Commence, Pooled: p.Home, Market: p.Market, Elo: p.Elo}
			found = true
			break
		}
	}
	for _, e := range answer.Evaluations {
		scores = append(scores, Evaluation{e.Input, e.Games, e.LogLoss})
	}
	sort.Slice(scores, func(i, j int) bool { return scores[i].LogLoss < scores[j].LogLoss })
	return prediction, scores, found
}

// search reads both streams of each container of the demo to their end.
func (d *Demo) search(ctx context.Context, name string) (LogsRead, error) {
	state, err := d.Stack.Project.LoadValid(ctx)
	if err != nil {
		return LogsRead{}, err
	}
	search, err := sweep.New(state.Values.Known())
	if err != nil {
		return LogsRead{}, err
	}
	at, err := d.Stack.Connect(ctx)
	if err != nil {
		return LogsRead{}, err
	}
	if at.Close != nil {
		defer func() { _ = at.Close() }()
	}
	all, err := project.ServiceContainers(ctx, at.Engine, name)
	if err != nil {
		return LogsRead{}, err
	}
	var surfaces []sweep.Surface
	for _, c := range all {
		surfaces = append(surfaces, sweep.Logs(at.Engine, c.ID))
	}
	report := search.Run(ctx, surfaces...)
	return LogsRead{Logs: len(surfaces), Bytes: report.Bytes, Canaries: report.Canaries, Hits: report.Hits}, report.Err()
}
