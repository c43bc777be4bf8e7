package secrets_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// five is part of a configuration, with secrets in all plain kinds of field.
type five struct {
	A secrets.Secret `secret:"A"`
	B secrets.Secret `secret:"B"`
	C string         `secret:"C"`
	D []byte         `secret:"D"`
	E secrets.Secret `secret:"E"`
}

// twenty is a configuration with twenty secrets.
type twenty struct {
	K five `secret:"K_,prefix"`
	L five `secret:"L_,prefix"`
	M five `secret:"M_,prefix"`
	N five `secret:"N_,prefix"`
}

// twentyFiles writes the values of twenty and returns their paths.
func twentyFiles(t testing.TB) (dir string, paths []string) {
	values := map[string]string{}
	for _, prefix := range []string{"K_", "L_", "M_", "N_"} {
		for _, name := range []string{"A", "B", "C", "D", "E"} {
			values[prefix+name] = secretstest.Canary()
		}
	}
	dir = secretstest.Write(t, values, nil)
	for name := range values {
		paths = append(paths, filepath.Join(dir, name))
	}
	return dir, paths
}

// BenchmarkLoadTwenty loads twenty secrets from files and, in the same loop,
// reads the same files with os.ReadFile. The number that matters is the ratio
// of the medians:
//
//	go test -run '^$' -bench LoadTwenty -benchtime 2000x ./pkg/secrets/
func BenchmarkLoadTwenty(b *testing.B) {
	dir, paths := twentyFiles(b)
	noEnv := func(string) (string, bool) { return "", false }
	loaders := map[string]secrets.Loader{
		"docker":   {DockerDir: dir, Dir: filepath.Join(dir, "none"), LookupEnv: noEnv},
		"file":     {DockerDir: filepath.Join(dir, "none"), Dir: dir, LookupEnv: noEnv},
		"shadowed": {DockerDir: dir, Dir: dir, LookupEnv: noEnv},
	}
	for _, name := range []string{"docker", "file", "shadowed"} {
		b.Run(name, func(b *testing.B) {
			var load, plain []time.Duration
			for b.Loop() {
				load = append(load, took(b, func() error {
					var config twenty
					_, err := loaders[name].Load(&config)
					return err
				}))
				plain = append(plain, took(b, func() error { return readAll(paths) }))
			}
			b.ReportMetric(float64(median(load))/float64(median(plain)), "load/ReadFile")
			b.ReportMetric(float64(median(load).Nanoseconds()), "ns/load")
			b.ReportMetric(float64(median(plain).Nanoseconds()), "ns/20-ReadFile")
		})
	}
}

// TestLoadIsWithinBudget: loading twenty files takes at most three times as long
// as reading them with os.ReadFile. The measurements alternate and the medians
// are compared, so that a busy machine slows both.
func TestLoadIsWithinBudget(t *testing.T) {
	dir, paths := twentyFiles(t)
	loader := secrets.Loader{DockerDir: dir, Dir: filepath.Join(dir, "none"), LookupEnv: env(nil)}
	var load, plain []time.Duration
	for range 300 {
		load = append(load, took(t, func() error {
			var config twenty
			_, err := loader.Load(&config)
			return err
		}))
		plain = append(plain, took(t, func() error { return readAll(paths) }))
	}
	if l, p := median(load), median(plain); l > 3*p {
		t.Errorf("a load takes %v, twenty os.ReadFile %v", l, p)
	}
}

func took(b testing.TB, do func() error) time.Duration {
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func readAll(paths []string) error {
	for _, path := range paths {
		if _, err := os.ReadFile(path); err != nil {
			return err
		}
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func BenchmarkReveal(b *testing.B) {
	s := secrets.New([]byte(strings.Repeat("v", 32)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n += len(s.Reveal()) + len(s.RevealString())
	}
	if n == 0 {
		b.Error("nothing was revealed")
	}
}
