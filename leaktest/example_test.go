package leaktest_test

import (
	"testing"

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/leaktest"
)

// A service is started and works; it must not have leaked its password.
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

// A service in legacy mode has its token in the environment, where inspect shows
// it. It must not appear anywhere else.
func ExampleCheck() {
	_ = func(t *testing.T, legacy testcontainers.Container, token []byte, answer []byte) {
		report, err := leaktest.Check{
			Secrets:       leaktest.Secrets{"TOKEN": token},
			Containers:    []leaktest.Container{legacy},
			InEnvironment: []string{"TOKEN"},
			Further:       map[string][]byte{"answer of the API": answer},
		}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report)
	}
}
