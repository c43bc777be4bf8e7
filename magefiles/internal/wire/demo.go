package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/keepmum/keepmum/internal/compose"
	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/imagebuild"
	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// demoDir is where the demo keeps its compose file, its secrets and its key.
const demoDir = ".keepmum/demo"

// demoName is the demo's Compose project.
const demoName = "keepmum-demo"

// apiTimeout is for one request; apiBody bounds an answer, in bytes.
const (
	apiTimeout = 5 * time.Second
	apiBody    = 4 << 20
)

// DemoTools is what the target demo works with.
type DemoTools struct {
	Console *console.Console
	source  *secretdir.Project
	project *secretdir.Project
	values  *secretdir.Dir
	dir     string
}

// OpenDemo opens the demo's directory, and makes it where there is a compose
// file to make it for.
func OpenDemo(c *console.Console) (*DemoTools, error) {
	dir, err := filepath.Abs(demoDir)
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: "the current directory has no path", Next: "cd to the project"}
	}
	source, err := secretdir.OpenProject(".", "")
	if err != nil {
		return nil, err
	}
	if _, _, err := project.FindManifest(source, os.Getenv("KEEPMUM_COMPOSE_FILE")); err != nil {
		return nil, errors.Join(err, source.Close())
	}
	if err := os.MkdirAll(demoDir, 0o700); err != nil {
		_ = source.Close()
		return nil, &fault.Error{Code: fault.Failed, What: demoDir + " cannot be made", Next: "check the owner and mode of this directory", Cause: err}
	}
	project, err := secretdir.OpenProject(dir, "")
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	values, err := secretdir.Open(filepath.Join(demoDir, SecretsDir))
	if err != nil {
		return nil, errors.Join(err, source.Close(), project.Close())
	}
	return &DemoTools{Console: c, source: source, project: project, values: values, dir: dir}, nil
}

// Close closes what OpenDemo opened.
func (t *DemoTools) Close() {
	_ = t.values.Close()
	_ = t.project.Close()
	_ = t.source.Close()
}

// stack is the demo's stack.
func (t *DemoTools) stack() stack.Stack {
	return stack.Stack{Project: t.project, Values: t.values, Progress: t.Console, Name: demoName, Dir: t.dir, LookupEnv: os.LookupEnv}
}

// Demo is the use case.
func (t *DemoTools) Demo() demo.Demo {
	tools := &Tools{Console: t.Console, Project: t.project, Values: t.values}
	up := tools.StackUp(t.stack())
	maker := imagebuild.Maker{Dir: ".", Progress: t.Console}
	up.Build.Services, up.Build.Postgres = maker, maker
	up.Validate.Tracked = nil
	return demo.Demo{Source: t.source, Up: up, API: localAPI{}, Sweep: logSweep{}, Progress: t.Console, ComposeFile: os.Getenv("KEEPMUM_COMPOSE_FILE")}
}

// Clean removes the demo's stack, with its volumes, and its directory.
func (t *DemoTools) Clean(ctx context.Context) error {
	there, err := demo.Exists(t.project)
	if err != nil {
		return err
	}
	if there {
		e, err := engine.Connect(ctx, engine.Options{})
		if err != nil {
			return err
		}
		defer e.Close()
		composer := func(ctx context.Context) (stack.Composer, error) {
			return compose.Finder{Progress: t.Console}.Find(ctx)
		}
		if _, err := (stack.Down{Stack: t.stack(), Engine: e, Compose: composer, Volumes: true}).Run(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(t.dir); err != nil {
		return &fault.Error{Code: fault.Failed, What: demoDir + " cannot be removed", Next: "rm -r " + demoDir, Cause: err}
	}
	return t.Console.Print("the demo is gone: containers, volumes, secrets")
}

// localAPI asks strict-api on this machine.
type localAPI struct{}

// Get asks for a path, with a bearer token where one is given.
func (localAPI) Get(ctx context.Context, path string, token secrets.Secret) (int, []byte, error) {
	port := os.Getenv("KEEPMUM_API_PORT")
	if port == "" {
		port = "8090"
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	failed := &fault.Error{Code: fault.Failed, What: "strict-api does not answer on 127.0.0.1:" + port, Next: "docker ps --filter label=com.docker.compose.project=" + demoName}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return 0, nil, failed
	}
	if !token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+token.RevealString())
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, failed
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, apiBody))
	if err != nil {
		return 0, nil, failed
	}
	return response.StatusCode, body, nil
}

// logSweep searches the logs of containers on the engine.
type logSweep struct{}

// SweepLogs reads both streams of each container to their end.
func (logSweep) SweepLogs(ctx context.Context, known []secrets.Known, containers []docker.Container) (demo.LogsRead, error) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return demo.LogsRead{}, err
	}
	defer e.Close()
	search, err := sweep.New(known)
	if err != nil {
		return demo.LogsRead{}, err
	}
	var surfaces []sweep.Surface
	for _, c := range containers {
		surfaces = append(surfaces, sweep.Logs(e, c.ID))
	}
	report := search.Run(ctx, surfaces...)
	return demo.LogsRead{Logs: len(surfaces), Bytes: report.Bytes, Canaries: report.Canaries, Hits: report.Hits}, report.Err()
}
