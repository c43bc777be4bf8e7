package images_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
)

const services = `
  api:
    image: keepmum/api:dev
  worker:
    image: keepmum/worker:dev
  proxy:
    image: other/proxy:1
`

const database = `
  db:
    image: ${KEEPMUM_POSTGRES_IMAGE:-postgres:17}
`

// load parses a compose file of these services.
func load(t *testing.T, services string) *manifest.Manifest {
	t.Helper()
	m, findings := manifest.Parse("docker-compose.yml", []byte("name: shop\nservices:"+services))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return m
}

// recorder keeps the progress.
type recorder struct{ strings.Builder }

func (r *recorder) Say(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

// bench is a builder over fakes.
type bench struct {
	store  *opstest.ImageStore
	maker  *opstest.ImageMaker
	said   recorder
	config images.Config
}

func newBench(present ...string) *bench {
	b := &bench{store: opstest.NewImageStore(present...), maker: &opstest.ImageMaker{Digest: "one", OfferAnswer: images.PostgresOffer{Ref: "keepmum/postgres:debian-15", Digest: "packages"}}}
	b.config = images.Config{Store: b.store, Services: b.maker, Postgres: b.maker, Progress: &b.said}
	return b
}

// build builds the images of services and lists them in one line.
func (b *bench) build(t *testing.T, services string, o images.Options) (images.Result, string, error) {
	t.Helper()
	result, err := images.New(b.config).Build(t.Context(), load(t, services), o)
	var all []string
	for _, image := range result.Images {
		all = append(all, image.Image+" "+string(image.Action))
	}
	return result, strings.Join(all, ", "), err
}

// liar is a store that fails at one of its calls, counted from 1.
type liar struct {
	*opstest.ImageStore
	info       error
	image      error
	imageAfter int // so many looks at images succeed
	inspected  []string
}

func (l *liar) Info(ctx context.Context) (docker.Info, error) {
	if l.info != nil {
		return docker.Info{}, l.info
	}
	return l.ImageStore.Info(ctx)
}

func (l *liar) Image(ctx context.Context, ref string) (docker.Image, bool, error) {
	if l.inspected = append(l.inspected, ref); l.image != nil && len(l.inspected) > l.imageAfter {
		return docker.Image{}, false, l.image
	}
	return l.ImageStore.Image(ctx, ref)
}

// serviceMaker returns its archives.
type serviceMaker struct {
	archives []images.Archive
	err      error
}

func (m serviceMaker) Services(context.Context, string, map[string]string) ([]images.Archive, error) {
	return m.archives, m.err
}

func TestBuild_LoadsOnlyChanges(t *testing.T) {
	b := newBench("postgres:17")
	result, actions, err := b.build(t, services+database, images.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "keepmum/api:dev built, keepmum/worker:dev built, postgres:17 present"; actions != want {
		t.Errorf("got %s, want %s", actions, want)
	}
	if b.maker.Arch != "arm64" || result.Arch != "arm64" || len(b.maker.Asked) != 2 || b.maker.Asked["api"] != "keepmum/api:dev" {
		t.Errorf("the maker was asked for %v on %s", b.maker.Asked, b.maker.Arch)
	}
	if result.Postgres != "postgres:17" || result.Images[0].Size != 1_500_000 || result.Seconds <= 0 || result.DryRun {
		t.Errorf("%+v", result)
	}
	if got, want := b.said.String(), "compiling 2 services for linux/arm64\nkeepmum/api:dev built, 1.5 MB\nkeepmum/worker:dev built, 1.5 MB\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}

	_, actions, err = b.build(t, services+database, images.Options{})
	if err != nil || actions != "keepmum/api:dev unchanged, keepmum/worker:dev unchanged, postgres:17 present" || len(b.store.Loaded) != 2 {
		t.Errorf("again: %s, %v, loaded %v", actions, err, b.store.Loaded)
	}

	b.maker.Digest = "two"
	result, actions, err = b.build(t, services+database, images.Options{DryRun: true})
	if err != nil || !result.DryRun || !strings.HasPrefix(actions, "keepmum/api:dev built") || len(b.store.Loaded) != 2 || len(b.store.Removed) != 0 {
		t.Errorf("dry run: %s, %v, loaded %v, removed %v", actions, err, b.store.Loaded, b.store.Removed)
	}
	if _, _, err = b.build(t, services+database, images.Options{}); err != nil || len(b.store.Loaded) != 4 {
		t.Errorf("after a change loaded %v, %v", b.store.Loaded, err)
	}
	if want := []string{"new keepmum/api:dev", "new keepmum/worker:dev"}; !slices.Equal(b.store.Removed, want) {
		t.Errorf("removed %v, want the images that were replaced: %v", b.store.Removed, want)
	}
}

func TestBuild_OtherImagesAreNotMade(t *testing.T) {
	b := newBench()
	_, actions, err := b.build(t, "\n  a:\n    image: keepmum/api:1\n  b:\n    image: my/keepmum/api:dev\n  c:\n    image: keepmum/API:dev\n", images.Options{})
	if err != nil || actions != "" || b.maker.Asked != nil || b.said.Len() != 0 {
		t.Errorf("%s, %v, asked for %v, said %s", actions, err, b.maker.Asked, b.said.String())
	}
}

func TestBuild_WithoutPostgresAsksForNone(t *testing.T) {
	b := newBench()
	// The variable is used, but not as an image.
	result, actions, err := b.build(t, "\n  api:\n    image: keepmum/api:dev\n    hostname: ${KEEPMUM_POSTGRES_IMAGE:-x}\n", images.Options{})
	if err != nil || actions != "keepmum/api:dev built" || result.Postgres != "" || b.maker.Offered != 0 {
		t.Errorf("%s, %v, postgres %q, offered %d times", actions, err, result.Postgres, b.maker.Offered)
	}
}

func TestBuild_QuietWithoutProgress(t *testing.T) {
	b := newBench()
	b.config.Progress = nil
	if _, actions, err := b.build(t, services+database, images.Options{}); err != nil || !strings.HasSuffix(actions, "keepmum/postgres:debian-15 built") {
		t.Errorf("%s, %v", actions, err)
	}
}

func TestBuild_NamesImagesInUse(t *testing.T) {
	b := newBench("postgres:17")
	if _, _, err := b.build(t, services+database, images.Options{}); err != nil {
		t.Fatal(err)
	}
	b.maker.Digest, b.store.InUse = "two", true
	result, actions, err := b.build(t, services+database, images.Options{})
	if err != nil || !strings.HasPrefix(actions, "keepmum/api:dev built, keepmum/worker:dev built") {
		t.Fatalf("%s, %v", actions, err)
	}
	if !slices.Equal(result.InUse, []string{"new keepmum/api:dev"}) || !slices.Equal(b.store.Removed, []string{"new keepmum/worker:dev"}) {
		t.Errorf("in use %v, removed %v", result.InUse, b.store.Removed)
	}
}

func TestBuild_LeavesImagesOfOthers(t *testing.T) {
	b := newBench("keepmum/api:dev") // without the label: it was not made here
	if _, actions, err := b.build(t, services, images.Options{}); err != nil || !strings.HasPrefix(actions, "keepmum/api:dev built") {
		t.Errorf("%s, %v", actions, err)
	}
	if len(b.store.Removed) != 0 {
		t.Errorf("removed %v", b.store.Removed)
	}
}

func TestBuild_EndsWithTheEngine(t *testing.T) {
	gone := &fault.Error{Code: fault.NoEngine, What: "gone"}
	for _, test := range []struct {
		name    string
		present []string
		store   liar
		fail    error
		options images.Options
		done    string // before the end
	}{
		{name: "at once", store: liar{info: gone}},
		{name: "at the first service", store: liar{image: gone}},
		{name: "at the second service", store: liar{image: gone, imageAfter: 1}, done: "keepmum/api:dev built"},
		{name: "while it loads", fail: gone},
		{name: "at Postgres", store: liar{image: gone, imageAfter: 3}, done: "keepmum/api:dev built, keepmum/worker:dev built"},
		{name: "at the image that is replaced", store: liar{image: gone, imageAfter: 14}, done: "keepmum/api:dev built, keepmum/worker:dev built"},
		{name: "when a Postgres made here is made again", present: []string{"keepmum/postgres:debian-15"}, store: liar{image: gone, imageAfter: 14}, options: images.Options{Refresh: true},
			done: "keepmum/api:dev built, keepmum/worker:dev built"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(test.present...)
			b.store.Fail, test.store.ImageStore, b.config.Store = test.fail, b.store, &test.store
			result, actions, err := b.build(t, services+database, test.options)
			if fault.CodeOf(err) != fault.NoEngine || actions != test.done || result.Postgres != "" {
				t.Errorf("got %v after %q, want the engine's end after %q (looked at %v)", err, actions, test.done, test.store.inspected)
			}
		})
	}
}

func TestBuild_NoWindowsContainers(t *testing.T) {
	b := newBench()
	b.store.OS = "windows"
	result, _, err := b.build(t, services, images.Options{})
	var why *docker.Failure
	if fault.CodeOf(err) != fault.NoEngine || !errors.As(err, &why) || why.Cause != docker.CauseWindows || !strings.Contains(err.Error(), "runs windows containers") {
		t.Errorf("%v", err)
	}
	if result.Arch != "" || b.maker.Asked != nil {
		t.Errorf("%+v, asked for %v", result, b.maker.Asked)
	}
}

func TestBuild_ServicesDoNotCompile(t *testing.T) {
	b, broken := newBench(), errors.New("undefined: x")
	b.config.Services = serviceMaker{err: broken}
	if _, actions, err := b.build(t, services+database, images.Options{}); !errors.Is(err, broken) || actions != "" || len(b.store.Loaded) != 0 {
		t.Errorf("%s, %v, loaded %v", actions, err, b.store.Loaded)
	}
}

// An archive's writer ends when the engine stops reading, and the engine learns
// that an archive cannot be written.
func TestBuild_ArchiveStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if the writer is still there in the end
		written := make(chan error, 1)
		archive := images.Archive{Ref: "keepmum/api:dev", Write: func(w io.Writer) error {
			_, err := fmt.Fprint(w, "much")
			written <- err
			return err
		}}
		b := newBench()
		b.store.Fail = &fault.Error{Code: fault.NoEngine, What: "gone"}
		b.config.Services = serviceMaker{archives: []images.Archive{archive}}
		if _, _, err := b.build(t, services, images.Options{}); fault.CodeOf(err) != fault.NoEngine {
			t.Errorf("got %v", err)
		}
		if err := <-written; err == nil {
			t.Error("the archive was written though the engine did not read it")
		}
	})
	torn := errors.New("torn")
	b := newBench()
	b.config.Services = serviceMaker{archives: []images.Archive{{Ref: "keepmum/api:dev", Write: func(io.Writer) error { return torn }}}}
	if _, _, err := b.build(t, services, images.Options{}); !errors.Is(err, torn) || len(b.store.Loaded) != 0 {
		t.Errorf("got %v, loaded %v", err, b.store.Loaded)
	}
}

func TestPostgresVariableUse(t *testing.T) {
	v, ok := images.PostgresVariableUse(load(t, services+database))
	if !ok || v.Service != "db" || v.Default != "postgres:17" {
		t.Errorf("%+v %v", v, ok)
	}
	for name, services := range map[string]string{
		"none":             services,
		"another variable": "\n  db:\n    image: ${OTHER_IMAGE:-postgres:17}\n",
		"another field":    "\n  db:\n    image: postgres:17\n    hostname: ${KEEPMUM_POSTGRES_IMAGE:-x}\n",
	} {
		if v, ok := images.PostgresVariableUse(load(t, services)); ok || v.Service != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// puller answers, fails, or is silent until its context ends.
type puller struct {
	err    error
	silent bool
	lines  int           // of progress, a minute apart
	ends   time.Duration // when it was told to end, since it began
	pulled []string
}

func (p *puller) PullImage(ctx context.Context, ref string, progress func(string)) error {
	begun := time.Now()
	p.pulled = append(p.pulled, ref)
	for range p.lines {
		progress("Pulling from library/postgres")
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			p.ends = time.Since(begun)
			return ctx.Err()
		}
	}
	if p.silent {
		<-ctx.Done()
		p.ends = time.Since(begun)
		return ctx.Err()
	}
	return p.err
}

func TestBuild_Postgres(t *testing.T) {
	refused := &fault.Error{Code: fault.Failed, What: "no such host"}
	noDebian := &fault.Error{Code: fault.Failed, What: "this system has no apt-get", Next: "set KEEPMUM_POSTGRES_IMAGE"}
	const own = "keepmum/postgres:debian-15"
	for _, test := range []struct {
		name    string
		present []string
		asked   string
		puller  *puller
		offer   error
		refresh bool
		dryRun  bool
		want    string
		err     string
		said    string
		made    int
		loaded  int
	}{
		{name: "pulled", puller: &puller{lines: 2}, want: "postgres:17 pulled", said: "pulling postgres:17\npostgres:17: Pulling from library/postgres\n"},
		{name: "would be pulled", puller: &puller{err: refused}, dryRun: true, want: "postgres:17 pulled"},
		{name: "made if the registry refuses", puller: &puller{err: refused}, want: own + " built", said: "pulling postgres:17\npostgres:17 cannot be pulled: no such host\n" + own + " built, 1.5 MB\n", made: 1, loaded: 1},
		{name: "made if the registry is silent", puller: &puller{silent: true}, want: own + " built", said: "its registry does not answer", made: 1, loaded: 1},
		{name: "made if nothing is ever pulled", want: own + " built", made: 1, loaded: 1},
		{name: "would be made", dryRun: true, want: own + " built"},
		{name: "neither", puller: &puller{err: refused}, offer: noDebian, err: "this system has no apt-get"},
		{name: "made before", present: []string{own}, puller: &puller{}, want: own + " present"},
		{name: "the newest of those made before", present: []string{"keepmum/postgres:debian-25", own}, puller: &puller{}, want: "keepmum/postgres:debian-25 present"},
		{name: "made before, newer packages asked for", present: []string{own}, refresh: true, want: own + " built", made: 1, loaded: 1},
		{name: "made before, newer asked for in a dry run", present: []string{own}, refresh: true, dryRun: true, want: own + " built"},
		{name: "made before, newer asked for, no answer from Debian", present: []string{own}, refresh: true, offer: noDebian, want: own + " present", said: "keeping " + own + ": this system has no apt-get\n"},
		{name: "the compose file's own is never refreshed", present: []string{"postgres:17"}, refresh: true, want: "postgres:17 present"},
		{name: "named and present", present: []string{"pg:1", "postgres:17"}, asked: "pg:1", want: "pg:1 present"},
		{name: "named and pulled", asked: "pg:1", puller: &puller{}, want: "pg:1 pulled"},
		{name: "named, and never replaced by another", asked: "pg:1", puller: &puller{err: refused}, err: "no such host"},
		{name: "named, silent", asked: "pg:1", puller: &puller{silent: true}, err: "the image pg:1 is not on the engine and its registry does not answer"},
		{name: "named, and nothing is ever pulled", asked: "pg:1", err: "the image pg:1 is not on the engine and its registry does not answer"},
		{name: "named as one made here", asked: own, puller: &puller{}, want: own + " built", made: 1, loaded: 1},
		{name: "named as one that Debian does not make", asked: "keepmum/postgres:debian-19", err: "here have " + own + ", not keepmum/postgres:debian-19"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(test.present...)
				b.maker.OfferErr = test.offer
				if test.puller != nil {
					b.config.Puller = test.puller
				}
				result, actions, err := b.build(t, database, images.Options{PostgresImage: test.asked, Refresh: test.refresh, DryRun: test.dryRun})
				if test.err != "" {
					var e *fault.Error
					if !errors.As(err, &e) || !strings.Contains(e.What, test.err) || result.Postgres != "" {
						t.Errorf("got %v, want %q; the stack would use %q", err, test.err, result.Postgres)
					}
				} else if ref, _, _ := strings.Cut(test.want, " "); err != nil || actions != test.want || result.Postgres != ref {
					t.Errorf("got %s, want %s; the stack would use %q; %v", actions, test.want, result.Postgres, err)
				}
				if said := b.said.String(); !strings.Contains(said, test.said) {
					t.Errorf("said %s", said)
				}
				if test.puller != nil && (len(test.puller.pulled) > 1 || test.dryRun && len(test.puller.pulled) > 0) {
					t.Errorf("pulled %v", test.puller.pulled)
				}
				if b.maker.Made != test.made || len(b.store.Loaded) != test.loaded {
					t.Errorf("made %d, loaded %v", b.maker.Made, b.store.Loaded)
				}
			})
		})
	}
}

func TestBuild_PostgresUnchanged(t *testing.T) {
	b := newBench()
	b.store.Images["keepmum/postgres:debian-15"] = docker.Image{ID: "x", Size: 7, Labels: map[string]string{docker.LabelBuild: "packages"}}
	result, actions, err := b.build(t, database, images.Options{Refresh: true})
	if err != nil || actions != "keepmum/postgres:debian-15 unchanged" || result.Images[0].Size != 7 || b.maker.Made != 0 {
		t.Errorf("%s, %v, %+v, made %d", actions, err, result.Images, b.maker.Made)
	}
}

// failingMaker offers an image and cannot make it.
type failingMaker struct {
	*opstest.ImageMaker
	err error
	do  func()
}

func (m failingMaker) Postgres(context.Context, images.PostgresOffer) (images.Archive, error) {
	m.do()
	return images.Archive{}, m.err
}

func TestBuild_PostgresThatCannotBeMade(t *testing.T) {
	torn := &fault.Error{Code: fault.Failed, What: "bad archive"}
	b := newBench("keepmum/postgres:debian-15")
	b.config.Postgres = failingMaker{b.maker, torn, func() {}}
	if _, actions, err := b.build(t, database, images.Options{Refresh: true}); err != nil || actions != "keepmum/postgres:debian-15 present" || !strings.Contains(b.said.String(), "keeping keepmum/postgres:debian-15: bad archive") {
		t.Errorf("%s, %v, said %s", actions, err, b.said.String())
	}
	b = newBench()
	b.config.Postgres = failingMaker{b.maker, torn, func() {}}
	if _, _, err := b.build(t, database, images.Options{}); !errors.Is(err, torn) {
		t.Errorf("%v", err)
	}
	b = newBench()
	b.config.Postgres = nil
	if _, _, err := b.build(t, database, images.Options{}); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "no image of Postgres can be built here") {
		t.Errorf("%v", err)
	}
}

// An interruption is never taken for a registry or a Debian that does not
// answer.
func TestBuild_Interrupted(t *testing.T) {
	m := load(t, database)
	for _, present := range [][]string{{"keepmum/postgres:debian-15"}, nil} {
		ctx, cancel := context.WithCancel(t.Context())
		b := newBench(present...)
		b.config.Postgres = failingMaker{b.maker, context.Canceled, cancel}
		if result, err := images.New(b.config).Build(ctx, m, images.Options{Refresh: true}); !errors.Is(err, context.Canceled) || result.Postgres != "" {
			t.Errorf("while it is made: %v, %+v", err, result)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench()
	b.config.Puller = stopped{cancel}
	_, err := images.New(b.config).Build(ctx, m, images.Options{})
	if !errors.Is(err, context.Canceled) || b.maker.Offered != 0 || strings.Contains(err.Error(), "does not answer") {
		t.Errorf("while it is pulled: %v, offered %d times", err, b.maker.Offered)
	}
}

// stopped interrupts the command that pulls.
type stopped struct{ cancel func() }

func (s stopped) PullImage(ctx context.Context, _ string, _ func(string)) error {
	s.cancel()
	<-ctx.Done()
	return ctx.Err()
}

func TestBuild_PatienceWithRegistries(t *testing.T) {
	for _, test := range []struct {
		name     string
		patience time.Duration
		puller   puller
		ends     time.Duration
		err      string
	}{
		{"five seconds for the first word", 0, puller{silent: true}, 5 * time.Second, "its registry does not answer"},
		{"as long as was asked for", 20 * time.Second, puller{silent: true}, 20 * time.Second, "its registry does not answer"},
		{"ten minutes for a whole image", 0, puller{lines: 100}, 10 * time.Minute, "deadline"},
		{"slow, but in time", 0, puller{lines: 9}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.config.Puller = &test.puller
				result, _, err := b.build(t, database, images.Options{PostgresImage: "pg:1", Patience: test.patience})
				if test.puller.ends != test.ends || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("ended after %s with %v", test.puller.ends, err)
				}
				if err == nil && result.Postgres != "pg:1" {
					t.Errorf("%+v", result)
				}
				if strings.Contains(test.err, "registry") && !errors.Is(err, context.Canceled) {
					t.Errorf("the cause is lost: %v", errors.Unwrap(err))
				}
			})
		})
	}
}
