package secretdir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// BenchmarkWriteAgainstPlain times a first write of n values against plainly
// writing and syncing as many files, and their directory, one after the other. The two take turns; what
// is reported is the median of each, in milliseconds, and the median, least and
// greatest of the ratios of neighbours.
//
//	go test ./internal/secretdir -run '^$' -bench WriteAgainstPlain -benchtime 1x
func BenchmarkWriteAgainstPlain(b *testing.B) {
	for n, rounds := range map[int]int{10: 15, 1000: 9, 10_000: 5} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			batch := map[string]secrets.Secret{}
			for i := range n {
				batch["KEY_"+strconv.Itoa(i)] = secrets.New([]byte("0123456789abcdef0123456789abcdef"))
			}
			var ours, plain, ratios []float64
			for range rounds {
				a, p := timeOurs(b, batch), timePlain(b, batch)
				ours, plain, ratios = append(ours, a), append(plain, p), append(ratios, a/p)
			}
			for _, times := range [][]float64{ours, plain, ratios} {
				slices.Sort(times)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours[rounds/2], "ms-keepmum")
			b.ReportMetric(plain[rounds/2], "ms-plain")
			b.ReportMetric(ratios[rounds/2], "ratio")
			b.ReportMetric(ratios[0], "ratio-min")
			b.ReportMetric(ratios[rounds-1], "ratio-max")
		})
	}
}

// timeOurs returns how long Write takes, in milliseconds.
func timeOurs(b *testing.B, batch map[string]secrets.Secret) float64 {
	d, err := secretdir.Open(filepath.Join(b.TempDir(), "secrets"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	began := time.Now()
	if err := write(b.Context(), d, batch); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(began).Microseconds()) / 1000
}

// timePlain returns how long writing and syncing each file takes, in
// milliseconds.
func timePlain(b *testing.B, batch map[string]secrets.Secret) float64 {
	dir := b.TempDir()
	began := time.Now()
	for name, value := range batch {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Write(value.Reveal()); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	d, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
	d.Close()
	return float64(time.Since(began).Microseconds()) / 1000
}
