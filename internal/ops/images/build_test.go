package images_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
)

// fakePuller answers, fails, or is silent until its context ends.
type fakePuller struct {
	err    error
	silent bool
	pulled []string
}

func (p *fakePuller) PullImage(ctx context.Context, ref string, progress func(string)) error {
	p.pulled = append(p.pulled, ref)
	if p.silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if p.err == nil {
		progress("Pulling from library/postgres")
	}
	return p.err
}

const buildFile = `name: shop
services:
  db:
    image: ${KEEPMUM_POSTGRES_IMAGE:-postgres:17}
  api:
    image: keepmum/api:dev
  worker:
    image: keepmum/worker:dev
  proxy:
    image: other/proxy:1
`

// build runs the use case over buildFile.
func build(t *testing.T, store *opstest.ImageStore, maker *opstest.ImageMaker, change func(*images.Build)) (images.Result, string, error) {
	t.Helper()
	b := opstest.New(t)
	b.Put("docker-compose.yml", buildFile)
	use := images.Build{Store: store, Services: maker, Postgres: maker, Progress: b}
	if change != nil {
		change(&use)
	}
	result, err := use.Run(t.Context(), b.Load().Manifest)
	return result, b.Said.String(), err
}

func actions(result images.Result) string {
	var all []string
	for _, image := range result.Images {
		all = append(all, image.Image+" "+string(image.Action))
	}
	return strings.Join(all, ", ")
}

func TestBuildLoadsOnlyWhatChanged(t *testing.T) {
	store, maker := opstest.NewImageStore("postgres:17"), &opstest.ImageMaker{Digest: "one"}
	result, said, err := build(t, store, maker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := actions(result), "keepmum/api:dev built, keepmum/worker:dev built, postgres:17 present"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if maker.Arch != "arm64" || len(maker.Asked) != 2 || maker.Asked["api"] != "keepmum/api:dev" {
		t.Errorf("the maker was asked for %v on %s", maker.Asked, maker.Arch)
	}
	if result.Postgres != "postgres:17" || !strings.Contains(said, "keepmum/api:dev built, 1.5 MB") {
		t.Errorf("postgres %q, said %s", result.Postgres, said)
	}

	result, _, err = build(t, store, maker, nil)
	if err != nil || actions(result) != "keepmum/api:dev unchanged, keepmum/worker:dev unchanged, postgres:17 present" || len(store.Loaded) != 2 {
		t.Errorf("again: %s, %v, loaded %v", actions(result), err, store.Loaded)
	}

	maker.Digest = "two"
	result, _, err = build(t, store, maker, func(u *images.Build) { u.DryRun = true })
	if err != nil || !strings.HasPrefix(actions(result), "keepmum/api:dev built") || len(store.Loaded) != 2 {
		t.Errorf("dry run: %s, %v, loaded %v", actions(result), err, store.Loaded)
	}
	if _, _, err = build(t, store, maker, nil); err != nil || len(store.Loaded) != 4 {
		t.Errorf("after a change loaded %v, %v", store.Loaded, err)
	}
	if want := []string{"new keepmum/api:dev", "new keepmum/worker:dev"}; !slices.Equal(store.Removed, want) {
		t.Errorf("removed %v, want the images that were replaced: %v", store.Removed, want)
	}
}

// oneImage makes one archive.
type oneImage struct{ archive images.Archive }

func (o *oneImage) Services(context.Context, string, map[string]string) ([]images.Archive, error) {
	return []images.Archive{o.archive}, nil
}

func TestBuildEndsWhereTheEngineDoes(t *testing.T) {
	store := opstest.NewImageStore("postgres:17")
	store.Fail = &fault.Error{Code: fault.NoEngine, What: "gone"}
	if _, _, err := build(t, store, &opstest.ImageMaker{}, nil); fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("got %v", err)
	}
	written := make(chan error, 1)
	maker := &oneImage{archive: images.Archive{Ref: "keepmum/api:dev", Write: func(w io.Writer) error {
		_, err := fmt.Fprint(w, "much")
		written <- err
		return err
	}}}
	if _, _, err := build(t, store, &opstest.ImageMaker{}, func(u *images.Build) { u.Services = maker }); fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("got %v", err)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("the archive was written though nobody read it")
		}
	case <-time.After(10 * time.Second):
		t.Error("the archive is still being written")
	}
	store = opstest.NewImageStore()
	store.OS = "windows"
	if _, _, err := build(t, store, &opstest.ImageMaker{}, nil); fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("windows containers: %v", err)
	}
}

func TestBuildSeesToPostgres(t *testing.T) {
	own := images.PostgresOffer{Ref: "keepmum/postgres:debian-15", Digest: "packages"}
	refused := &fault.Error{Code: fault.Failed, What: "no such host"}
	noDebian := &fault.Error{Code: fault.Failed, What: "this system has no apt-get", Next: "set KEEPMUM_POSTGRES_IMAGE"}
	for _, test := range []struct {
		name    string
		present []string
		asked   string
		puller  *fakePuller
		offer   error
		refresh bool
		want    string
		err     string
		said    string
	}{
		{name: "pulled", puller: &fakePuller{}, want: "postgres:17 pulled", said: "Pulling from"},
		{name: "made where the registry refuses", puller: &fakePuller{err: refused}, want: "keepmum/postgres:debian-15 built", said: "postgres:17 cannot be pulled: no such host"},
		{name: "made where the registry is silent", puller: &fakePuller{silent: true}, want: "keepmum/postgres:debian-15 built", said: "its registry does not answer"},
		{name: "made where nothing is ever pulled", want: "keepmum/postgres:debian-15 built"},
		{name: "neither", puller: &fakePuller{err: refused}, offer: noDebian, err: "this system has no apt-get"},
		{name: "made before", present: []string{"keepmum/postgres:debian-15"}, puller: &fakePuller{}, want: "keepmum/postgres:debian-15 present"},
		{name: "made before, newer packages asked for", present: []string{"keepmum/postgres:debian-15"}, refresh: true, want: "keepmum/postgres:debian-15 built"},
		{name: "made before, asked for, and Debian does not answer", present: []string{"keepmum/postgres:debian-15"}, refresh: true, offer: noDebian, want: "keepmum/postgres:debian-15 present", said: "stays as it is: this system has no apt-get"},
		{name: "named and present", present: []string{"pg:1", "postgres:17"}, asked: "pg:1", want: "pg:1 present"},
		{name: "named and pulled", asked: "pg:1", puller: &fakePuller{}, want: "pg:1 pulled"},
		{name: "named, and never replaced by another", asked: "pg:1", puller: &fakePuller{err: refused}, err: "no such host"},
		{name: "named, silent", asked: "pg:1", puller: &fakePuller{silent: true}, err: "the image pg:1 is not on the engine and its registry does not answer"},
		{name: "named as one of our own", asked: "keepmum/postgres:debian-15", puller: &fakePuller{}, want: "keepmum/postgres:debian-15 built"},
		{name: "named as one that Debian does not make", asked: "keepmum/postgres:debian-19", err: "make keepmum/postgres:debian-15 here, not keepmum/postgres:debian-19"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, maker := opstest.NewImageStore(test.present...), &opstest.ImageMaker{Digest: "x", OfferAnswer: own, OfferErr: test.offer}
			result, said, err := build(t, store, maker, func(u *images.Build) {
				u.PostgresImage, u.Refresh, u.Patience = test.asked, test.refresh, 30*time.Millisecond
				if test.puller != nil {
					u.Puller = test.puller
				}
			})
			if test.err != "" {
				var e *fault.Error
				if !errors.As(err, &e) || !strings.Contains(e.What, test.err) {
					t.Errorf("got %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(actions(result), ", "+test.want) || !strings.Contains(said, test.said) {
				t.Errorf("got %s, want %s\nsaid %s", actions(result), test.want, said)
			}
			if ref, _, _ := strings.Cut(test.want, " "); result.Postgres != ref {
				t.Errorf("the stack would use %q", result.Postgres)
			}
			if test.puller != nil && len(test.puller.pulled) > 1 {
				t.Errorf("pulled %v", test.puller.pulled)
			}
		})
	}
}

func TestChoosePostgres(t *testing.T) {
	for _, test := range []struct {
		facts images.PostgresFacts
		ref   string
		step  images.PostgresStep
	}{
		{images.PostgresFacts{Default: "postgres:17", Pullable: true}, "postgres:17", images.PostgresPull},
		{images.PostgresFacts{Default: "postgres:17"}, "", images.PostgresMake},
		{images.PostgresFacts{Default: "postgres:17", Present: []string{"keepmum/postgres:debian-15", "postgres:17"}}, "postgres:17", images.PostgresUse},
		{images.PostgresFacts{Default: "postgres:17", Present: []string{"keepmum/postgres:debian-9", "keepmum/postgres:debian-15", "keepmum/postgres:debian-16"}}, "keepmum/postgres:debian-16", images.PostgresUse},
		{images.PostgresFacts{Default: "postgres:17", Asked: "x", Present: []string{"postgres:17"}}, "x", images.PostgresPull},
		{images.PostgresFacts{Default: "postgres:17", Asked: "x", Present: []string{"postgres:17", "x"}}, "x", images.PostgresUse},
		{images.PostgresFacts{Default: "postgres:17", Asked: "keepmum/postgres:debian-15", Pullable: true}, "keepmum/postgres:debian-15", images.PostgresMake},
	} {
		if got := images.ChoosePostgres(test.facts); got.Ref != test.ref || got.Step != test.step || got.Why == "" {
			t.Errorf("%+v: got %+v, want %s %s", test.facts, got, test.ref, test.step)
		}
	}
}

func TestWhatIsChosenIsWhatWasNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		refs := []string{"", "postgres:17", "pg:1", "keepmum/postgres:debian-15", "keepmum/postgres:debian-16"}
		f := images.PostgresFacts{
			Asked: rapid.SampledFrom(refs).Draw(t, "asked"), Default: "postgres:17",
			Present: rapid.SliceOfDistinct(rapid.SampledFrom(refs[1:]), rapid.ID[string]).Draw(t, "present"), Pullable: rapid.Bool().Draw(t, "pullable"),
		}
		got := images.ChoosePostgres(f)
		if f.Asked != "" && got.Ref != f.Asked {
			t.Fatalf("%+v was named and %s chosen", f, got.Ref)
		}
		if got.Step == images.PostgresUse && !slices.Contains(f.Present, got.Ref) {
			t.Fatalf("%+v: %s is used and not there", f, got.Ref)
		}
		if got.Step == images.PostgresPull && strings.HasPrefix(got.Ref, images.OwnPostgres) {
			t.Fatalf("%+v: an image of our own would be pulled", f)
		}
		if got.Step == images.PostgresPull && !f.Pullable && f.Asked == "" {
			t.Fatalf("%+v: pulls though nothing answers", f)
		}
	})
}
