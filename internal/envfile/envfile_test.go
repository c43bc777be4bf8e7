package envfile

import "testing"

func TestCorpus(t *testing.T) {
	for _, s := range corpus() {
		for _, r := range s.rows {
			t.Run(r.name, func(t *testing.T) {
				entries, problems := Parse([]byte(r.input), Options{File: "x.env"})
				if got := outcome(t, entries, problems); got != r.want {
					t.Errorf("got  %.300q\nwant %.300q", got, r.want)
				}
			})
		}
	}
}
