package stack

import "context"

// Down stops the stack and removes its containers and networks.
type Down struct {
	Stack
	Engine  Engine
	Compose func(ctx context.Context) (Composer, error)

	Volumes bool // remove the volumes too: the database is lost
	DryRun  bool
}

// DownResult tells what was removed.
type DownResult struct {
	Project    string   `json:"project"`
	DryRun     bool     `json:"dryRun"`
	Volumes    bool     `json:"volumes"`    // were removed too
	Containers []string `json:"containers"` // names; empty where there were none
}

// Run removes what belongs to the project. The values in secrets/ stay.
func (u Down) Run(ctx context.Context) (DownResult, error) {
	result := DownResult{DryRun: u.DryRun, Volumes: u.Volumes, Containers: []string{}}
	m, variables, err := u.load(u.ComposeFile, nil)
	if err != nil {
		return result, err
	}
	result.Project = u.project(m)
	all, err := Containers(ctx, u.Engine, result.Project)
	if err != nil {
		return result, err
	}
	for _, c := range all {
		result.Containers = append(result.Containers, c.Name)
	}
	if u.DryRun || len(all) == 0 && !u.Volumes {
		return result, nil
	}
	compose, err := u.Compose(ctx)
	if err != nil {
		return result, err
	}
	err = compose.Down(ctx, Composition{Project: result.Project, Dir: u.Dir, Files: []string{u.path(m.File)}, Variables: variables}, u.Volumes)
	return result, err
}
