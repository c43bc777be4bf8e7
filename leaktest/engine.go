package leaktest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/keepmum/keepmum/internal/docker"
)

const (
	// labelMade holds the Unix time, in seconds, at which this package made a
	// container or an image.
	labelMade = "io.keepmum.leaktest.made"
	// labelsOfRyuk begins testcontainers' labels, by which Ryuk finds what to
	// remove.
	labelsOfRyuk = "org.testcontainers"
	// left is the age at which a container or an image of this package is taken
	// as left behind by a killed run: no check takes that long.
	left = 2 * patience
)

// engine is the engine of the containers, in the form that package sweep reads.
type engine struct{ docker client.APIClient }

// target is a container of the check.
type target struct {
	id, name     string
	image, ref   string // id and name of the image
	log          container.LogConfig
	tty          bool
	architecture string
	labels       map[string]string // for Ryuk
}

// targets inspects the containers.
func (e *engine) targets(ctx context.Context, containers []Container) ([]target, error) {
	info, err := e.docker.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("leaktest: the engine does not report its architecture: %w", err)
	}
	if info.OSType != "linux" {
		return nil, fmt.Errorf("leaktest: the engine runs %s containers: a canary needs linux", info.OSType)
	}
	known := map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
	architecture := cmp.Or(known[info.Architecture], info.Architecture+" (this program's: "+runtime.GOARCH+")")
	var all []target
	for _, one := range containers {
		id := one.GetContainerID()
		seen, err := find(ctx, e.docker, id)
		if err != nil {
			return nil, notFound(id, []string{attempt(e.docker.DaemonHost(), "the engine of this check", err)}, err)
		}
		labels := maps.Clone(seen.Config.Labels)
		maps.DeleteFunc(labels, func(name, _ string) bool { return !strings.HasPrefix(name, labelsOfRyuk) })
		all = append(all, target{
			id: seen.ID, name: strings.TrimPrefix(seen.Name, "/"), image: seen.Image, ref: seen.Config.Image,
			log: seen.HostConfig.LogConfig, tty: seen.Config.Tty, architecture: architecture, labels: labels,
		})
	}
	return all, nil
}

// ContainerLogs writes the log of a container, from its beginning.
func (e *engine) ContainerLogs(ctx context.Context, id string, _ docker.LogOptions, stdout, stderr io.Writer) error {
	seen, err := e.docker.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	if seen.HostConfig.LogConfig.Type == "none" {
		return errors.New("its log driver is none, which keeps no log")
	}
	stream, err := e.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	if seen.Config.Tty {
		_, err = io.Copy(stdout, stream)
		return err
	}
	_, err = stdcopy.StdCopy(stdout, stderr, stream)
	return err
}

// InspectContainer returns the engine's answer without the environment.
func (e *engine) InspectContainer(ctx context.Context, id string) ([]byte, error) {
	_, rest, err := e.inspect(ctx, id)
	return rest, err
}

// environmentAlone is an engine that shows only the environment of a container.
type environmentAlone struct{ *engine }

// InspectContainer returns the environment in the engine's answer.
func (e environmentAlone) InspectContainer(ctx context.Context, id string) ([]byte, error) {
	environment, _, err := e.inspect(ctx, id)
	return environment, err
}

// inspect returns the engine's answer in two parts.
func (e *engine) inspect(ctx context.Context, id string) (environment, rest []byte, err error) {
	_, raw, err := e.docker.ContainerInspectWithRaw(ctx, id, false)
	if err != nil {
		return nil, nil, err
	}
	return parted(raw)
}

// parted separates the environment from the rest of the engine's answer about a
// container. It changes and drops nothing else.
func parted(raw []byte) (environment, rest []byte, err error) {
	var answer, config map[string]json.RawMessage
	if json.Unmarshal(raw, &answer) != nil || json.Unmarshal(answer["Config"], &config) != nil {
		return nil, nil, errors.New("the engine's answer cannot be parsed") // the parser's error may quote it
	}
	environment = append([]byte("environment: "), config["Env"]...)
	delete(config, "Env")
	if answer["Config"], err = plainJSON(config); err == nil {
		rest, err = plainJSON(answer)
	}
	return environment, rest, err
}

// plainJSON encodes JSON as the engine does: <, > and & are not escaped.
func plainJSON(fields map[string]json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	err := out.Encode(fields)
	return b.Bytes(), err
}

// InspectImage returns the engine's answer.
func (e *engine) InspectImage(ctx context.Context, ref string) ([]byte, error) {
	return encoded(e.docker.ImageInspect(ctx, ref))
}

// ImageHistory returns the engine's answer.
func (e *engine) ImageHistory(ctx context.Context, ref string) ([]byte, error) {
	return encoded(e.docker.ImageHistory(ctx, ref))
}

// encoded encodes an answer of the engine, unless that is an error.
func encoded(answer any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// SaveImage writes images as docker save does.
func (e *engine) SaveImage(ctx context.Context, w io.Writer, refs ...string) error {
	stream, err := e.docker.ImageSave(ctx, refs)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(w, stream)
	return err
}

// removeLeft removes what killed runs left behind.
func (e *engine) removeLeft(ctx context.Context) error {
	of := filters.NewArgs(filters.Arg("label", labelMade))
	containers, err := e.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: of})
	if err != nil {
		return fmt.Errorf("leaktest: the engine cannot list its containers: %w", err)
	}
	for _, one := range containers {
		if wasLeft(one.Labels) {
			_ = e.removeContainer(ctx, one.ID) // another run may have removed it
		}
	}
	images, err := e.docker.ImageList(ctx, image.ListOptions{All: true, Filters: of})
	if err != nil {
		return fmt.Errorf("leaktest: the engine cannot list its images: %w", err)
	}
	for _, one := range images {
		if wasLeft(one.Labels) {
			_ = e.removeImage(ctx, one.ID) // another run may have removed it
		}
	}
	return nil
}

// wasLeft reports whether something is too old to be still in use.
func wasLeft(labels map[string]string) bool {
	made, err := strconv.ParseInt(labels[labelMade], 10, 64)
	return err == nil && time.Since(time.Unix(made, 0)) > left
}
