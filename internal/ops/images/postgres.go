package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

const (
	registryPatience = 5 * time.Second  // for a registry's first word
	pullDeadline     = 10 * time.Minute // for the whole image
	oldestPostgres   = 15
	newestPostgres   = 25 // the last one that is looked for among images built here
)

// step says how to get an image of Postgres.
type step int

const (
	use      step = iota // nothing: the engine has it
	pull                 // from its registry
	assemble             // from Debian packages
)

// facts decide which image of Postgres is used.
type facts struct {
	asked     string   // by the user; "": none
	byDefault string   // in the compose file
	present   []string // those of them that the engine has, then those built here, by rising version
	pullable  bool     // as far as is known
}

// choice is an image of Postgres and how to get it.
type choice struct {
	ref  string // "" for assemble: the version is not known yet
	step step
}

// choose chooses the image of Postgres. An image that the user names is never
// replaced by another. An image that the engine has comes before one that must
// be fetched, so that a database is not opened by another version than the one
// that created it. An image from Debian packages comes last.
func choose(f facts) choice {
	switch {
	case f.asked != "" && slices.Contains(f.present, f.asked):
		return choice{f.asked, use}
	case strings.HasPrefix(f.asked, OwnPostgres):
		return choice{f.asked, assemble}
	case f.asked != "":
		return choice{f.asked, pull}
	case slices.Contains(f.present, f.byDefault):
		return choice{f.byDefault, use}
	}
	for _, ref := range slices.Backward(f.present) {
		if strings.HasPrefix(ref, OwnPostgres) {
			return choice{ref, use}
		}
	}
	if f.pullable {
		return choice{f.byDefault, pull}
	}
	return choice{"", assemble}
}

// postgres makes sure that the engine has an image of Postgres, and returns it.
func (b *Builder) postgres(ctx context.Context, arch, byDefault string, o Options) (Image, error) {
	present, err := b.present(ctx, o.PostgresImage, byDefault)
	if err != nil {
		return Image{}, err
	}
	f := facts{asked: o.PostgresImage, byDefault: byDefault, present: present, pullable: b.Puller != nil}
	c := choose(f)
	if c.step == pull {
		pulled := Image{Image: c.ref, Action: Pulled}
		if o.DryRun {
			return pulled, nil
		}
		err := b.pull(ctx, c.ref, o.Patience)
		if err == nil {
			return pulled, nil
		}
		if o.PostgresImage != "" || ctx.Err() != nil {
			return Image{}, err
		}
		b.Progress.Say("%s cannot be pulled: %s", c.ref, fault.Text(err))
		f.pullable = false
		c = choose(f)
	}
	if c.step == use && !(o.Refresh && strings.HasPrefix(c.ref, OwnPostgres)) {
		return Image{Image: c.ref, Action: Present}, nil
	}
	return b.assemble(ctx, arch, c, o.DryRun)
}

// present returns those of the possible images that the engine has.
func (b *Builder) present(ctx context.Context, asked, byDefault string) ([]string, error) {
	candidates := []string{asked, byDefault}
	for major := oldestPostgres; major <= newestPostgres; major++ {
		candidates = append(candidates, fmt.Sprint(OwnPostgres, major))
	}
	var present []string
	for _, ref := range candidates {
		if ref == "" {
			continue
		}
		_, found, err := b.Store.Image(ctx, ref)
		if err != nil {
			return nil, err
		}
		if found {
			present = append(present, ref)
		}
	}
	return present, nil
}

// assemble builds an image from Debian packages.
func (b *Builder) assemble(ctx context.Context, arch string, c choice, dryRun bool) (Image, error) {
	offer, err := b.offer(ctx, arch, c.ref)
	if err != nil {
		return b.keep(ctx, c, err)
	}
	old, found, err := b.Store.Image(ctx, offer.Ref)
	if err != nil {
		return Image{}, err
	}
	if found && old.Labels[docker.LabelBuild] == offer.Digest {
		return Image{Image: offer.Ref, Action: Unchanged, Size: old.Size}, nil
	}
	if dryRun {
		return Image{Image: offer.Ref, Action: Built}, nil
	}
	archive, err := b.Postgres.Postgres(ctx, offer)
	if err != nil {
		return b.keep(ctx, c, err)
	}
	return b.place(ctx, archive, false)
}

// offer asks what can be built; ref is the image that is needed, or "" for any.
func (b *Builder) offer(ctx context.Context, arch, ref string) (PostgresOffer, error) {
	if b.Postgres == nil {
		return PostgresOffer{}, &fault.Error{Code: fault.Failed, What: "no image registry answers, and no image of Postgres can be built here", Next: "set " + PostgresVariable + " to an image that the engine has"}
	}
	offer, err := b.Postgres.Offer(ctx, arch)
	if err == nil && ref != "" && ref != offer.Ref {
		err = &fault.Error{Code: fault.Failed, What: "Debian's packages here have " + offer.Ref + ", not " + ref, Next: "set " + PostgresVariable + " to " + offer.Ref + ", or unset it"}
	}
	return offer, err
}

// keep keeps the chosen image if the engine has it, because a newer one could
// not be built.
func (b *Builder) keep(ctx context.Context, c choice, err error) (Image, error) {
	if c.step != use || ctx.Err() != nil {
		return Image{}, err
	}
	b.Progress.Say("keeping %s: %s", c.ref, fault.Text(err))
	return Image{Image: c.ref, Action: Present}, nil
}

// pull pulls an image. A registry that stays silent for a while counts as one
// that does not answer.
func (b *Builder) pull(ctx context.Context, ref string, patience time.Duration) error {
	unreachable := &fault.Error{Code: fault.Failed, What: "the image " + ref + " is not on the engine and its registry does not answer", Next: "set " + PostgresVariable + " to an image that the engine has or can pull"}
	if b.Puller == nil {
		return unreachable
	}
	if patience == 0 {
		patience = registryPatience
	}
	b.Progress.Say("pulling %s", ref)
	pulling, cancel := context.WithTimeout(ctx, pullDeadline)
	defer cancel()
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	err := b.Puller.PullImage(pulling, ref, func(line string) {
		if silence.Stop() {
			b.Progress.Say("%s: %s", ref, line)
		}
	})
	if err != nil && ctx.Err() == nil && errors.Is(pulling.Err(), context.Canceled) {
		unreachable.Cause = err
		return unreachable
	}
	return err
}
