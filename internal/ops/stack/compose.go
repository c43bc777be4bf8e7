package stack

import "context"

// Composition is one project as a Compose tool runs it.
type Composition struct {
	Project string   // name of the project: the label on everything it makes
	Dir     string   // absolute; relative paths in the files start here
	Files   []string // absolute, the later over the earlier

	// Variables are handed over for interpolation: never a declared secret's
	// value. A declared name may stand here with an empty value, which hides
	// what EnvFile says of it.
	Variables map[string]string

	// EnvFile is read by Compose itself; "" keeps it from reading any, also the
	// .env that it would find. Where it is set, what Compose says is withheld as
	// far as it could quote a value.
	EnvFile string
}

// Composer starts and stops compositions.
type Composer interface {
	// Up creates and starts what the composition names, and returns when all
	// that others depend on is healthy and the rest is started.
	Up(ctx context.Context, c Composition) error
	// Down stops and removes it; the volumes only where asked.
	Down(ctx context.Context, c Composition, volumes bool) error
}
