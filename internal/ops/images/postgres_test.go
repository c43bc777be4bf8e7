package images

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		facts facts
		want  choice
	}{
		{facts{byDefault: "postgres:17", pullable: true}, choice{"postgres:17", pull}},
		{facts{byDefault: "postgres:17"}, choice{"", assemble}},
		{facts{byDefault: "postgres:17", present: []string{"postgres:17", OwnPostgres + "15"}}, choice{"postgres:17", use}},
		{facts{byDefault: "postgres:17", present: []string{OwnPostgres + "15", OwnPostgres + "16"}, pullable: true}, choice{OwnPostgres + "16", use}},
		{facts{byDefault: "postgres:17", asked: "x", present: []string{"postgres:17"}}, choice{"x", pull}},
		{facts{byDefault: "postgres:17", asked: "x", present: []string{"x", "postgres:17"}}, choice{"x", use}},
		{facts{byDefault: "postgres:17", asked: OwnPostgres + "15", pullable: true}, choice{OwnPostgres + "15", assemble}},
		{facts{byDefault: "postgres:17", asked: OwnPostgres + "15", present: []string{OwnPostgres + "15"}}, choice{OwnPostgres + "15", use}},
	} {
		if got := choose(test.facts); got != test.want {
			t.Errorf("%+v: got %+v, want %+v", test.facts, got, test.want)
		}
	}
}

func TestChoose_Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		refs := []string{"", "postgres:17", "pg:1", OwnPostgres + "15", OwnPostgres + "16"}
		f := facts{
			asked: rapid.SampledFrom(refs).Draw(t, "asked"), byDefault: "postgres:17",
			present: rapid.SliceOfDistinct(rapid.SampledFrom(refs[1:]), rapid.ID[string]).Draw(t, "present"), pullable: rapid.Bool().Draw(t, "pullable"),
		}
		got := choose(f)
		if f.asked != "" && got.ref != f.asked {
			t.Fatalf("%+v: the user's image is replaced by %s", f, got.ref)
		}
		if got.step == use && !slices.Contains(f.present, got.ref) {
			t.Fatalf("%+v: %s is used and not there", f, got.ref)
		}
		if got.step != use && got.ref != "" && slices.Contains(f.present, got.ref) {
			t.Fatalf("%+v: %s is there and not used", f, got.ref)
		}
		if got.step == pull && strings.HasPrefix(got.ref, OwnPostgres) {
			t.Fatalf("%+v: an image that is made here would be pulled", f)
		}
		if got.step == pull && !f.pullable && f.asked == "" {
			t.Fatalf("%+v: pulls though no registry answers", f)
		}
	})
}
