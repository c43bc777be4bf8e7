package engine_test

import (
	"fmt"

	"github.com/keepmum/keepmum/internal/docker/engine"
)

// Resolve says which engine is meant, and who chose it, without a connection.
func ExampleResolve() {
	environment := map[string]string{"DOCKER_HOST": "ssh://deploy@swarm.example", "DOCKER_CONTEXT": "other"}
	at, err := engine.Resolve(engine.Options{ConfigDir: "none", LookupEnv: func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}})
	fmt.Println(at.Host, at.Source, at.Remote, err)
	// Output: ssh://deploy@swarm.example DOCKER_HOST true <nil>
}
