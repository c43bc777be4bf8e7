package ops_test

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

	"github.com/keepmum/keepmum/internal/ops"
)

// fakeStore is an engine's images, in memory.
type fakeStore struct {
	os      string
	images  map[string]ops.EngineImage
	loaded  []string
	removed []string
	fail    error // of LoadImage
	inUse   bool  // the first removal of an image is refused
}

func newFakeStore(refs ...string) *fakeStore {
	s := &fakeStore{os: "linux", images: map[string]ops.EngineImage{}}
	for _, ref := range refs {
		s.images[ref] = ops.EngineImage{ID: "id of " + ref}
	}
	return s
}

func (s *fakeStore) Info(context.Context) (ops.EngineInfo, error) {
	return ops.EngineInfo{OS: s.os, Arch: "arm64"}, nil
}

func (s *fakeStore) Image(_ context.Context, ref string) (ops.EngineImage, bool, error) {
	image, ok := s.images[ref]
	return image, ok, nil
}

// LoadImage takes an "archive" of the form REF DIGEST.
func (s *fakeStore) LoadImage(_ context.Context, archive io.Reader) ([]string, error) {
	if s.fail != nil {
		return nil, s.fail // without reading
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		return nil, err
	}
	ref, digest, _ := strings.Cut(string(data), " ")
	s.images[ref] = ops.EngineImage{ID: "new " + ref, Labels: map[string]string{ops.LabelBuild: digest}}
	s.loaded = append(s.loaded, ref)
	return []string{ref}, nil
}

func (s *fakeStore) RemoveImage(_ context.Context, ref string, force bool) error {
	if force {
		return errors.New("an image is never removed by force")
	}
	if s.inUse {
		s.inUse = false
		return &ops.Error{Class: ops.Failed, What: "in use"}
	}
	s.removed = append(s.removed, ref)
	return nil
}

// fakeMaker makes images of no more than their names.
type fakeMaker struct {
	digest   string
	offer    ops.PostgresOffer
	offerErr error
	asked    map[string]string
	arch     string
	offered  int
	made     int
}

func (m *fakeMaker) Services(_ context.Context, arch string, refs map[string]string) ([]ops.ImageArchive, error) {
	m.asked, m.arch = refs, arch
	var all []ops.ImageArchive
	for _, ref := range refs {
		all = append(all, archive(ref, m.digest))
	}
	slices.SortFunc(all, func(a, b ops.ImageArchive) int { return strings.Compare(a.Ref, b.Ref) })
	return all, nil
}

func (m *fakeMaker) Offer(context.Context, string) (ops.PostgresOffer, error) {
	m.offered++
	return m.offer, m.offerErr
}

func (m *fakeMaker) Postgres(_ context.Context, offer ops.PostgresOffer) (ops.ImageArchive, error) {
	m.made++
	return archive(offer.Ref, offer.Digest), nil
}

func archive(ref, digest string) ops.ImageArchive {
	return ops.ImageArchive{Ref: ref, Digest: digest, Size: 1_500_000, Write: func(w io.Writer) error {
		_, err := fmt.Fprint(w, ref+" "+digest)
		return err
	}}
}

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
func build(t *testing.T, store *fakeStore, maker *fakeMaker, change func(*ops.BuildImages)) (ops.BuildImagesResult, string, error) {
	t.Helper()
	b := newBench(t)
	b.put("docker-compose.yml", buildFile)
	use := ops.BuildImages{Project: b.project, Store: store, Services: maker, Postgres: maker, Talk: b}
	if change != nil {
		change(&use)
	}
	result, err := use.Run(t.Context())
	return result, b.said.String(), err
}

func actions(result ops.BuildImagesResult) string {
	var all []string
	for _, image := range result.Images {
		all = append(all, image.Image+" "+string(image.Action))
	}
	return strings.Join(all, ", ")
}

func TestBuildLoadsOnlyWhatChanged(t *testing.T) {
	store, maker := newFakeStore("postgres:17"), &fakeMaker{digest: "one"}
	result, said, err := build(t, store, maker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := actions(result), "keepmum/api:dev built, keepmum/worker:dev built, postgres:17 present"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if maker.arch != "arm64" || len(maker.asked) != 2 || maker.asked["api"] != "keepmum/api:dev" {
		t.Errorf("the maker was asked for %v on %s", maker.asked, maker.arch)
	}
	if result.Postgres != "postgres:17" || !strings.Contains(said, "keepmum/api:dev built, 1.5 MB") {
		t.Errorf("postgres %q, said %s", result.Postgres, said)
	}

	result, _, err = build(t, store, maker, nil)
	if err != nil || actions(result) != "keepmum/api:dev unchanged, keepmum/worker:dev unchanged, postgres:17 present" || len(store.loaded) != 2 {
		t.Errorf("again: %s, %v, loaded %v", actions(result), err, store.loaded)
	}

	maker.digest = "two"
	result, _, err = build(t, store, maker, func(u *ops.BuildImages) { u.DryRun = true })
	if err != nil || !strings.HasPrefix(actions(result), "keepmum/api:dev built") || len(store.loaded) != 2 {
		t.Errorf("dry run: %s, %v, loaded %v", actions(result), err, store.loaded)
	}
	if _, _, err = build(t, store, maker, nil); err != nil || len(store.loaded) != 4 {
		t.Errorf("after a change loaded %v, %v", store.loaded, err)
	}
	if want := []string{"new keepmum/api:dev", "new keepmum/worker:dev"}; !slices.Equal(store.removed, want) {
		t.Errorf("removed %v, want the images that were replaced: %v", store.removed, want)
	}
}

// oneImage makes one archive.
type oneImage struct{ archive ops.ImageArchive }

func (o *oneImage) Services(context.Context, string, map[string]string) ([]ops.ImageArchive, error) {
	return []ops.ImageArchive{o.archive}, nil
}

func TestBuildEndsWhereTheEngineDoes(t *testing.T) {
	store := newFakeStore("postgres:17")
	store.fail = &ops.Error{Class: ops.NoEngine, What: "gone"}
	if _, _, err := build(t, store, &fakeMaker{}, nil); ops.ClassOf(err) != ops.NoEngine {
		t.Errorf("got %v", err)
	}
	written := make(chan error, 1)
	maker := &oneImage{archive: ops.ImageArchive{Ref: "keepmum/api:dev", Write: func(w io.Writer) error {
		_, err := fmt.Fprint(w, "much")
		written <- err
		return err
	}}}
	if _, _, err := build(t, store, &fakeMaker{}, func(u *ops.BuildImages) { u.Services = maker }); ops.ClassOf(err) != ops.NoEngine {
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
	store = newFakeStore()
	store.os = "windows"
	if _, _, err := build(t, store, &fakeMaker{}, nil); ops.ClassOf(err) != ops.NoEngine {
		t.Errorf("windows containers: %v", err)
	}
}

func TestBuildSeesToPostgres(t *testing.T) {
	own := ops.PostgresOffer{Ref: "keepmum/postgres:debian-15", Digest: "packages"}
	refused := &ops.Error{Class: ops.Failed, What: "no such host"}
	noDebian := &ops.Error{Class: ops.Failed, What: "this system has no apt-get", Next: "set KEEPMUM_POSTGRES_IMAGE"}
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
			store, maker := newFakeStore(test.present...), &fakeMaker{digest: "x", offer: own, offerErr: test.offer}
			result, said, err := build(t, store, maker, func(u *ops.BuildImages) {
				u.PostgresImage, u.Refresh, u.Patience = test.asked, test.refresh, 30*time.Millisecond
				if test.puller != nil {
					u.Puller = test.puller
				}
			})
			if test.err != "" {
				var e *ops.Error
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
		facts ops.PostgresFacts
		ref   string
		step  ops.PostgresStep
	}{
		{ops.PostgresFacts{Default: "postgres:17", Pullable: true}, "postgres:17", ops.PostgresPull},
		{ops.PostgresFacts{Default: "postgres:17"}, "", ops.PostgresMake},
		{ops.PostgresFacts{Default: "postgres:17", Present: []string{"keepmum/postgres:debian-15", "postgres:17"}}, "postgres:17", ops.PostgresUse},
		{ops.PostgresFacts{Default: "postgres:17", Present: []string{"keepmum/postgres:debian-9", "keepmum/postgres:debian-15", "keepmum/postgres:debian-16"}}, "keepmum/postgres:debian-16", ops.PostgresUse},
		{ops.PostgresFacts{Default: "postgres:17", Asked: "x", Present: []string{"postgres:17"}}, "x", ops.PostgresPull},
		{ops.PostgresFacts{Default: "postgres:17", Asked: "x", Present: []string{"postgres:17", "x"}}, "x", ops.PostgresUse},
		{ops.PostgresFacts{Default: "postgres:17", Asked: "keepmum/postgres:debian-15", Pullable: true}, "keepmum/postgres:debian-15", ops.PostgresMake},
	} {
		if got := ops.ChoosePostgres(test.facts); got.Ref != test.ref || got.Step != test.step || got.Why == "" {
			t.Errorf("%+v: got %+v, want %s %s", test.facts, got, test.ref, test.step)
		}
	}
}

func TestWhatIsChosenIsWhatWasNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		refs := []string{"", "postgres:17", "pg:1", "keepmum/postgres:debian-15", "keepmum/postgres:debian-16"}
		f := ops.PostgresFacts{
			Asked: rapid.SampledFrom(refs).Draw(t, "asked"), Default: "postgres:17",
			Present: rapid.SliceOfDistinct(rapid.SampledFrom(refs[1:]), rapid.ID[string]).Draw(t, "present"), Pullable: rapid.Bool().Draw(t, "pullable"),
		}
		got := ops.ChoosePostgres(f)
		if f.Asked != "" && got.Ref != f.Asked {
			t.Fatalf("%+v was named and %s chosen", f, got.Ref)
		}
		if got.Step == ops.PostgresUse && !slices.Contains(f.Present, got.Ref) {
			t.Fatalf("%+v: %s is used and not there", f, got.Ref)
		}
		if got.Step == ops.PostgresPull && strings.HasPrefix(got.Ref, ops.OwnPostgres) {
			t.Fatalf("%+v: an image of our own would be pulled", f)
		}
		if got.Step == ops.PostgresPull && !f.Pullable && f.Asked == "" {
			t.Fatalf("%+v: pulls though nothing answers", f)
		}
	})
}
