package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

const (
	registryPatience = 5 * time.Second  // for a registry's first word
	pullDeadline     = 10 * time.Minute // for the whole image
	oldestPostgres   = 15
	newestPostgres   = 25 // up to which images of our own are looked for
)

// Build makes the images of the stack: those of the services out of
// their sources, and one of Postgres where none can be had. Only what changed
// is loaded into the engine.
type Build struct {
	Store    Store
	Puller   Puller // nil: nothing is ever pulled
	Services ServiceMaker
	Postgres PostgresMaker
	Progress fault.Progress

	PostgresImage string // value of PostgresVariable; empty: none
	Refresh       bool   // ask Debian for newer packages of a Postgres that was made before
	DryRun        bool   // make everything, load and pull nothing

	Patience time.Duration // for a registry's first word; 0: five seconds
}

// Action is what became of an image.
type Action string

// The actions. With DryRun they tell what would be done.
const (
	Built     Action = "built"
	Unchanged Action = "unchanged" // the engine had the same
	Pulled    Action = "pulled"
	Present   Action = "present" // the engine has it, and it is not ours to make
)

// Image is one image of the result.
type Image struct {
	Image  string `json:"image"`
	Action Action `json:"action"`
	Size   int64  `json:"size"` // of its files, in bytes; 0: not known

	old string // id of the image that it replaced, where that could not be removed
}

// Result tells what was made.
type Result struct {
	Arch     string  `json:"arch"` // of the engine, in Go's words
	DryRun   bool    `json:"dryRun"`
	Images   []Image `json:"images"`
	Postgres string  `json:"postgres,omitempty"` // the image of Postgres that the stack is to use
	Seconds  float64 `json:"seconds"`

	InUse []string `json:"-"` // ids of images that were replaced while a container ran them
}

// Run makes the images in order: the services', then Postgres.
func (u Build) Run(ctx context.Context, m *manifest.Manifest) (Result, error) {
	begun := time.Now()
	result := Result{DryRun: u.DryRun, Images: []Image{}}
	info, err := u.Store.Info(ctx)
	if err != nil {
		return result, err
	}
	if info.OS != "linux" {
		return result, &fault.Error{Code: fault.NoEngine, What: "the engine runs " + info.OS + " containers; the stack needs linux", Next: "switch the engine to linux containers", Cause: &docker.Failure{Cause: docker.CauseWindows, Detail: info.OS}}
	}
	result.Arch = info.Arch
	if refs := ownImages(m); len(refs) > 0 {
		u.Progress.Say("compiling %s for linux/%s", fault.Count(len(refs), "service"), info.Arch)
		archives, err := u.Services.Services(ctx, info.Arch, refs)
		if err != nil {
			return result, err
		}
		for _, archive := range archives {
			made, err := u.place(ctx, archive)
			if err != nil {
				return result, err
			}
			result.Images = append(result.Images, made)
			if made.old != "" {
				result.InUse = append(result.InUse, made.old)
			}
		}
	}
	if variable, ok := PostgresVariableUse(m); ok {
		made, err := u.postgres(ctx, info.Arch, variable.Default)
		if err != nil {
			return result, err
		}
		result.Images, result.Postgres = append(result.Images, made), made.Image
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}

// ownImages returns the images that are made here, by service source: those
// named keepmum/NAME:dev.
func ownImages(m *manifest.Manifest) map[string]string {
	own := regexp.MustCompile(`^keepmum/([a-z0-9][a-z0-9-]*):dev$`)
	refs := map[string]string{}
	for _, service := range m.Services {
		if found := own.FindStringSubmatch(service.Image); found != nil {
			refs[found[1]] = service.Image
		}
	}
	return refs
}

// PostgresVariableUse returns the use of PostgresVariable as an image.
func PostgresVariableUse(m *manifest.Manifest) (manifest.Variable, bool) {
	for _, v := range m.Variables {
		if v.Name == PostgresVariable && strings.HasSuffix(v.Path, ".image") {
			return v, true
		}
	}
	return manifest.Variable{}, false
}

// place loads an archive unless the engine has the same image, and removes the
// image that had its name before.
func (u Build) place(ctx context.Context, archive Archive) (Image, error) {
	old, found, err := u.Store.Image(ctx, archive.Ref)
	if err != nil {
		return Image{}, err
	}
	made := Image{Image: archive.Ref, Action: Built, Size: archive.Size}
	if found && old.Labels[docker.LabelBuild] == archive.Digest {
		made.Action = Unchanged
		return made, nil
	}
	if u.DryRun {
		return made, nil
	}
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	_, err = u.Store.LoadImage(ctx, stream)
	stream.Close() // ends the writer where the engine read not to the end
	if err != nil {
		return Image{}, err
	}
	u.Progress.Say("%s built, %s", archive.Ref, megabytes(archive.Size))
	if found && old.Labels[docker.LabelBuild] != "" && old.ID != "" {
		if err := u.Store.RemoveImage(ctx, old.ID, false); err != nil {
			made.old = old.ID // a container runs it
		}
	}
	return made, nil
}

// postgres sees to an image of Postgres and returns it.
func (u Build) postgres(ctx context.Context, arch, byDefault string) (Image, error) {
	facts := PostgresFacts{Asked: u.PostgresImage, Default: byDefault, Pullable: u.Puller != nil}
	candidates := []string{u.PostgresImage, byDefault}
	for major := oldestPostgres; major <= newestPostgres; major++ {
		candidates = append(candidates, fmt.Sprint(OwnPostgres, major))
	}
	for _, ref := range candidates {
		if ref == "" {
			continue
		}
		_, found, err := u.Store.Image(ctx, ref)
		if err != nil {
			return Image{}, err
		}
		if found {
			facts.Present = append(facts.Present, ref)
		}
	}
	choice := ChoosePostgres(facts)
	if choice.Step == PostgresPull && u.DryRun {
		return Image{Image: choice.Ref, Action: Pulled}, nil
	}
	if choice.Step == PostgresPull {
		err := u.pull(ctx, choice.Ref)
		if err == nil {
			return Image{Image: choice.Ref, Action: Pulled}, nil
		}
		if u.PostgresImage != "" || ctx.Err() != nil {
			return Image{}, err
		}
		u.Progress.Say("%s cannot be pulled: %s", choice.Ref, fault.Text(err))
		facts.Pullable = false
		choice = ChoosePostgres(facts)
	}
	if choice.Step == PostgresUse && !(u.Refresh && strings.HasPrefix(choice.Ref, OwnPostgres)) {
		return Image{Image: choice.Ref, Action: Present}, nil
	}
	return u.makePostgres(ctx, arch, choice)
}

// makePostgres makes an image of Debian packages. Where that fails and choice
// is one that the engine has, that one stays.
func (u Build) makePostgres(ctx context.Context, arch string, choice PostgresChoice) (Image, error) {
	keep := func(err error) (Image, error) {
		if choice.Step != PostgresUse || ctx.Err() != nil {
			return Image{}, err
		}
		u.Progress.Say("%s stays as it is: %s", choice.Ref, fault.Text(err))
		return Image{Image: choice.Ref, Action: Present}, nil
	}
	if u.Postgres == nil {
		return keep(&fault.Error{Code: fault.Failed, What: "no image registry answers, and none of Postgres can be made here", Next: "set " + PostgresVariable + " to an image that the engine has"})
	}
	offer, err := u.Postgres.Offer(ctx, arch)
	if err != nil {
		return keep(err)
	}
	if choice.Ref != "" && choice.Ref != offer.Ref {
		return keep(&fault.Error{Code: fault.Failed, What: "Debian's packages make " + offer.Ref + " here, not " + choice.Ref, Next: "set " + PostgresVariable + " to " + offer.Ref + ", or unset it"})
	}
	old, found, err := u.Store.Image(ctx, offer.Ref)
	if err != nil {
		return Image{}, err
	}
	if found && old.Labels[docker.LabelBuild] == offer.Digest {
		return Image{Image: offer.Ref, Action: Unchanged, Size: old.Size}, nil
	}
	if u.DryRun {
		return Image{Image: offer.Ref, Action: Built}, nil
	}
	archive, err := u.Postgres.Postgres(ctx, offer)
	if err != nil {
		return keep(err)
	}
	return u.place(ctx, archive)
}

// pull pulls an image. A registry that says nothing for a few seconds counts as
// one that does not answer.
func (u Build) pull(ctx context.Context, ref string) error {
	unreachable := &fault.Error{Code: fault.Failed, What: "the image " + ref + " is not on the engine and its registry does not answer", Next: "set " + PostgresVariable + " to an image that the engine has or can pull"}
	if u.Puller == nil {
		return unreachable
	}
	u.Progress.Say("pulling %s", ref)
	pulling, cancel := context.WithTimeout(ctx, pullDeadline)
	defer cancel()
	patience := u.Patience
	if patience == 0 {
		patience = registryPatience
	}
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	err := u.Puller.PullImage(pulling, ref, func(line string) {
		if silence.Stop() {
			u.Progress.Say("%s: %s", ref, line)
		}
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && errors.Is(pulling.Err(), context.Canceled):
		unreachable.Cause = err
		return unreachable
	}
	return err
}

// megabytes says a size.
func megabytes(size int64) string { return fmt.Sprintf("%.1f MB", float64(size)/1e6) }
