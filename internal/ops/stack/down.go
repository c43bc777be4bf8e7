package stack

import (
	"context"

	"github.com/keepmum/keepmum/internal/ops/project"
)

// DownOptions says what is removed.
type DownOptions struct {
	Volumes bool // remove the volumes too: the database is lost
	DryRun  bool
}

// DownResult says what was removed.
type DownResult struct {
	Project    string   `json:"project"`
	DryRun     bool     `json:"dryRun"`
	Volumes    bool     `json:"volumes"`    // were removed too
	Containers []string `json:"containers"` // names; empty if there were none
}

// Down stops the stack and removes its containers and networks. The values in
// secrets/ stay.
func (s *Stack) Down(ctx context.Context, o DownOptions) (DownResult, error) {
	result := DownResult{DryRun: o.DryRun, Volumes: o.Volumes}
	state, at, closeAll, err := s.open(ctx)
	if err != nil {
		return result, err
	}
	defer closeAll()
	result.Project = s.Project.ComposeProject(state.Manifest)
	all, err := project.ServiceContainers(ctx, at.Engine, result.Project)
	if err != nil {
		return result, err
	}
	for _, c := range all {
		result.Containers = append(result.Containers, c.Name)
	}
	if o.DryRun || len(all) == 0 && !o.Volumes {
		return result, nil
	}
	compose, err := s.Compose(ctx)
	if err != nil {
		return result, err
	}
	err = compose.Down(ctx, Composition{Project: result.Project, Dir: s.Project.Dir, Files: []string{s.Project.Path(state.Manifest.File)}, Variables: state.Variables}, o.Volumes)
	return result, err
}
