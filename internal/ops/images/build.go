package images

import (
	"context"
	"io"
	"regexp"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

// Options says how images are built.
type Options struct {
	PostgresImage string        // the value of [PostgresVariable]; "": the user names none
	Refresh       bool          // ask Debian for newer packages of a Postgres that was built before
	DryRun        bool          // build everything, load and pull nothing
	Patience      time.Duration // for a registry's first word; 0: five seconds
}

// Action is what became of an image; in a dry run, what would become of it.
type Action string

// The actions.
const (
	Built     Action = "built"
	Unchanged Action = "unchanged" // the engine has the same
	Pulled    Action = "pulled"
	Present   Action = "present" // the engine has it, and nothing was built
)

// Image is one image of the result.
type Image struct {
	Image  string `json:"image"`
	Action Action `json:"action"`
	Size   int64  `json:"size"` // of its files, in bytes; 0: not known

	inUse string // id of the image that it replaced, if that could not be removed
}

// Result lists the images.
type Result struct {
	Arch     string  `json:"arch"` // of the engine, in Go's words
	DryRun   bool    `json:"dryRun"`
	Images   []Image `json:"images"`
	Postgres string  `json:"postgres,omitempty"` // the image of Postgres that the stack uses
	Seconds  float64 `json:"seconds"`

	InUse []string `json:"-"` // ids of images that were replaced while a container ran them
}

// Build builds the images of the manifest's services, then Postgres. With an
// error, the result has the images that were finished before.
func (b *Builder) Build(ctx context.Context, m *manifest.Manifest, o Options) (Result, error) {
	begun := time.Now()
	result := Result{DryRun: o.DryRun}
	info, err := b.Store.Info(ctx)
	if err != nil {
		return result, err
	}
	if info.OS != "linux" {
		return result, &fault.Error{Code: fault.NoEngine, What: "the engine runs " + info.OS + " containers; the stack needs linux", Next: "switch the engine to linux containers", Cause: &docker.Failure{Cause: docker.CauseWindows, Detail: info.OS}}
	}
	result.Arch = info.Arch
	result.Images, err = b.services(ctx, info.Arch, m, o.DryRun)
	if err == nil {
		if variable, ok := PostgresVariableUse(m); ok {
			var image Image
			if image, err = b.postgres(ctx, info.Arch, variable.Default, o); err == nil {
				result.Images, result.Postgres = append(result.Images, image), image.Image
			}
		}
	}
	for _, image := range result.Images {
		if image.inUse != "" {
			result.InUse = append(result.InUse, image.inUse)
		}
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, err
}

// services builds the images of the services whose sources are here.
func (b *Builder) services(ctx context.Context, arch string, m *manifest.Manifest, dryRun bool) ([]Image, error) {
	refs := ownImages(m)
	if len(refs) == 0 {
		return nil, nil
	}
	b.Progress.Say("compiling %s for linux/%s", fault.Count(len(refs), "service"), arch)
	archives, err := b.Services.Services(ctx, arch, refs)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, archive := range archives {
		image, err := b.place(ctx, archive, dryRun)
		if err != nil {
			return images, err
		}
		images = append(images, image)
	}
	return images, nil
}

// ownImages returns the images that are built here, by service source: those
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

// place loads an archive unless the engine has the same image, and removes the
// image that had its name before.
func (b *Builder) place(ctx context.Context, archive Archive, dryRun bool) (Image, error) {
	old, found, err := b.Store.Image(ctx, archive.Ref)
	if err != nil {
		return Image{}, err
	}
	image := Image{Image: archive.Ref, Action: Built, Size: archive.Size}
	if found && old.Labels[docker.LabelBuild] == archive.Digest {
		image.Action = Unchanged
		return image, nil
	}
	if dryRun {
		return image, nil
	}
	if err := b.load(ctx, archive); err != nil {
		return Image{}, err
	}
	b.Progress.Say("%s built, %.1f MB", archive.Ref, float64(archive.Size)/1e6)
	if made := old.Labels[docker.LabelBuild] != ""; made && b.Store.RemoveImage(ctx, old.ID, false) != nil {
		image.inUse = old.ID // a container runs it
	}
	return image, nil
}

// load streams an archive into the engine.
func (b *Builder) load(ctx context.Context, archive Archive) error {
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	_, err := b.Store.LoadImage(ctx, stream)
	_ = stream.Close() // ends the writer if the engine did not read to the end
	return err
}
