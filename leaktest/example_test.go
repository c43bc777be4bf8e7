package leaktest_test

import (
	"testing"

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/leaktest"
)

// A service is started, works, and is required to have told nothing.
func ExampleRequireSilence() {
	_ = func(t *testing.T) {
		password := []byte("as the test made it")
		shop, err := testcontainers.Run(t.Context(), "shop:test")
		testcontainers.CleanupContainer(t, shop)
		if err != nil {
			t.Fatal(err)
		}
		// Let it work, fail and crash. Then:
		leaktest.RequireSilence(t, leaktest.Secrets{"DB_PASSWORD": password}, shop)
	}
}

// A service of the old way has its token in the environment, where inspect
// shows it. Nothing else may.
func ExampleCheck() {
	_ = func(t *testing.T, old testcontainers.Container, token []byte, answer []byte) {
		report, err := leaktest.Check{
			Secrets:       leaktest.Secrets{"TOKEN": token},
			Containers:    []testcontainers.Container{old},
			InEnvironment: []string{"TOKEN"},
			Further:       map[string][]byte{"answer of the API": answer},
		}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report)
	}
}
