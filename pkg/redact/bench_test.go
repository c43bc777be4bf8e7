package redact

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// benchLog returns a log of about n bytes of JSON lines, one in a hundred of
// which contains a value.
func benchLog(r *rand.Rand, n int, values []string) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"time":"2026-11-23T17:%02d:%02d.%03dZ","level":"INFO","msg":"request done","path":"/v4/sports/basketball_nba/odds",`+
			`"status":%d,"duration_ms":%d,"trace":"%s"`, i/60%60, i%60, r.IntN(1000), 200+r.IntN(300), r.IntN(2000), randomText(r, 32, "0123456789abcdef"))
		if i%100 == 50 {
			fmt.Fprintf(&b, `,"key":%q`, values[r.IntN(len(values))])
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

func benchValues(r *rand.Rand, n int) ([]secrets.Known, []string) {
	var all []secrets.Known
	var values []string
	for i := range n {
		value := randomText(r, 16+r.IntN(48), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/+")
		values = append(values, value)
		all = append(all, secrets.Known{Name: fmt.Sprint("S", i), Value: secrets.New([]byte(value))})
	}
	return all, values
}

// BenchmarkMask masks the same log with a Writer, with a strings.Replacer over
// the same forms and with a strings.Replacer over the raw values only. They
// alternate in each round, so that all run under the same conditions; the
// metrics are megabytes per second. The Replacer masks 32 KiB at a time, like
// the Writer, but misses values across these boundaries.
//
//	go test -run '^$' -bench Mask ./pkg/redact
func BenchmarkMask(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n, " values"), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			all, values := benchValues(r, n)
			log := benchLog(r, 1<<20, values)
			var forms, raw []string
			for i, k := range all {
				for _, f := range formsOf(k.Value.Reveal()) {
					forms = append(forms, string(f.text), Mask(k.Name))
				}
				raw = append(raw, values[i], Mask(k.Name))
			}
			masked := New(all).Writer(io.Discard)
			turns := []struct {
				unit  string
				write func([]byte)
				took  time.Duration
			}{
				{"MB/s-Writer", func(p []byte) { _, _ = masked.Write(p) }, 0},
				{"MB/s-Replacer-all-forms", replace(forms), 0},
				{"MB/s-Replacer-raw-values", replace(raw), 0},
			}
			for b.Loop() {
				for i := range turns {
					start := time.Now()
					for rest := log; len(rest) > 0; {
						piece := rest[:min(len(rest), 32<<10)]
						rest = rest[len(piece):]
						turns[i].write(piece)
					}
					turns[i].took += time.Since(start)
				}
			}
			for _, turn := range turns {
				b.ReportMetric(float64(b.N)*float64(len(log))/turn.took.Seconds()/1e6, turn.unit)
			}
		})
	}
}

func replace(pairs []string) func([]byte) {
	replacer := strings.NewReplacer(pairs...)
	return func(p []byte) { _, _ = replacer.WriteString(io.Discard, string(p)) }
}

// BenchmarkNew compiles sets of values and reports the memory they take.
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		all, _ := benchValues(rand.New(rand.NewPCG(2, uint64(n))), n)
		b.Run(fmt.Sprint(n, " values"), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			m := New(all)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-compiled")
			b.ReportMetric(float64(len(m.rules)), "forms")
			for b.Loop() {
				m = New(all)
			}
			runtime.KeepAlive(m)
		})
	}
}
