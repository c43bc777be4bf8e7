package leaktest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// canaryName is the canary's name in the search.
const canaryName = "LEAKTEST_CANARY"

// canaryFile is the path of its program in the container that prints it.
const canaryFile = "keepmum-leaktest-canary"

// canary is a random value that is not a secret. It is planted where a secret
// must not be, and must be found there.
type canary struct{ value, plain string }

// newCanary makes a value of two lines, with characters that encoders treat
// differently, and a plain one for places that cannot hold several lines.
func newCanary() canary {
	return canary{value: "canary-" + rand.Text() + "\"'<&>+%/$ é\x01\\`\n" + "second-line-" + rand.Text(), plain: "canary" + rand.Text()}
}

// known returns the canary in the form that the search takes.
func (c canary) known() []secrets.Known {
	return []secrets.Known{{Name: canaryName, Value: secrets.New([]byte(c.value))}, {Name: canaryName, Value: secrets.New([]byte(c.plain))}}
}

// forms returns a value in every encoding that is searched for.
func forms(value string) map[string]string {
	inJSON, _ := json.Marshal(value) // a string can always be encoded
	lines := strings.Split(value, "\n")
	return map[string]string{
		"raw": value, "line": lines[len(lines)-1],
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "hex": hex.EncodeToString([]byte(value)),
		"percent": url.QueryEscape(value), "json": string(inJSON), "html": html.EscapeString(value),
		"shell": "'" + strings.ReplaceAll(value, "'", `'\''`) + "'", "go": strconv.QuoteToASCII(value),
	}
}

// text is the canary in every encoding, one a line.
func (c canary) text() string {
	var b strings.Builder
	encoded := forms(c.value)
	for _, encoding := range redact.Encodings() {
		fmt.Fprintf(&b, "a canary, %s: %s\n", encoding, encoded[encoding])
	}
	return b.String()
}

// plants picks one container for each combination of image, log driver and
// terminal: the proof for one holds for the others.
func plants(targets []target) []target {
	var all []target
	for _, one := range targets {
		if !slices.ContainsFunc(all, func(other target) bool {
			return other.image == one.image && other.tty == one.tty && reflect.DeepEqual(other.log, one.log)
		}) {
			all = append(all, one)
		}
	}
	return all
}

// prove plants the canary in a copy of a target and requires that it is found in
// every place: in each encoding on both streams, in the output of inspect, in
// the file and in the configuration of an image. It returns the number of
// places. A container with a terminal has one stream.
func (e *engine) prove(ctx context.Context, search *sweep.Sweep, c canary, of target) (planted int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, err := e.plant(ctx, c, of)
	if id != "" {
		defer func() { err = cmp.Or(err, e.removeContainer(ctx, id)) }()
	}
	if err != nil {
		return 0, err
	}
	ref, err := e.commit(ctx, id)
	if err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, e.removeImage(ctx, ref)) }()
	logs, inspect, environment, layers := sweep.Logs(e, id), sweep.Inspect(e, id), sweep.Inspect(environmentAlone{e}, id), sweep.Image(e, ref)
	environment.Name = environmentOf + id
	seen := search.Run(ctx, logs, inspect, environment, layers)
	if len(seen.Unread) > 0 {
		return 0, &Error{Problems: []string{fmt.Sprintf("the canary for %s: %s was not read: %s", of.name, strings.Fields(seen.Unread[0].Surface)[0], seen.Unread[0].Why)}}
	}
	wanted := []place{{inspect.Name, "", "raw"}, {environment.Name, "", "raw"}, {layers.Name, canaryFile, "raw"}, {layers.Name, "configuration", "raw"}}
	streams := []string{"stdout", "stderr"}
	if of.tty {
		streams = streams[:1]
	}
	for _, stream := range streams {
		for _, encoding := range redact.Encodings() {
			wanted = append(wanted, place{logs.Name, stream, encoding})
		}
	}
	var problems []string
	for _, one := range wanted {
		if !one.among(seen) {
			kind, _, _ := strings.Cut(one.surface, " ")
			problems = append(problems, strings.TrimSpace(fmt.Sprintf("the canary for %s was not found: %s %s %s", of.name, kind, one.part, one.encoding)))
		}
	}
	if len(problems) > 0 {
		return 0, &Error{append([]string{"the canary was planted but not found: this search finds nothing, so it proves nothing"}, problems...)}
	}
	return len(wanted), nil
}

// place is a place where the canary was planted.
type place struct{ surface, part, encoding string }

// among reports whether the canary was found in the place.
func (p place) among(seen sweep.Report) bool {
	return slices.ContainsFunc(seen.Results, func(r sweep.Result) bool {
		return slices.ContainsFunc(r.Hits, func(h sweep.Hit) bool {
			return h.Name == canaryName && h.Surface == p.surface && strings.Contains(h.Place, p.part) && h.Encoding == p.encoding
		})
	})
}

// plant runs a container of the target's image, with its log driver, that prints
// the canary and exits. It returns the id as soon as there is something to
// remove, also with an error.
func (e *engine) plant(ctx context.Context, c canary, of target) (id string, err error) {
	binary, err := program(of.architecture, c.text(), c.text())
	if err != nil {
		return "", err
	}
	whole, cancel := atLength(ctx)
	defer cancel()
	made, err := e.docker.ContainerCreate(whole, &container.Config{
		Image: of.image, Entrypoint: []string{"/" + canaryFile}, User: "0:0", WorkingDir: "/", Tty: of.tty,
		Env:         []string{canaryName + "=" + c.plain},
		Labels:      c.labels(of),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, &container.HostConfig{LogConfig: of.log, NetworkMode: "none"}, nil, nil, "")
	if err != nil {
		return "", fmt.Errorf("leaktest: no container can be created from the image of %s: %w", of.name, err)
	}
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	headed := out.WriteHeader(&tar.Header{Name: canaryFile, Mode: 0o755, Size: int64(len(binary))})
	_, written := out.Write(binary)
	err = cmp.Or(headed, written, out.Close())
	if err == nil {
		err = e.docker.CopyToContainer(ctx, made.ID, "/", &stream, container.CopyToContainerOptions{})
	}
	if err == nil {
		err = e.runToEnd(ctx, made.ID)
	}
	if err != nil {
		err = fmt.Errorf("leaktest: the canary for %s cannot be planted: %w", of.name, err)
	}
	return made.ID, err
}

// commit makes an image from the canary's container and returns its id.
func (e *engine) commit(ctx context.Context, id string) (string, error) {
	ctx, cancel := atLength(ctx)
	defer cancel()
	made, err := e.docker.ContainerCommit(ctx, id, container.CommitOptions{})
	if err != nil {
		return "", fmt.Errorf("leaktest: no image can be made from the canary's container: %w", err)
	}
	return made.ID, nil
}

// labels are those of the canary's container, and so of the image made from it.
// They include the target's labels for Ryuk, which removes both with the target
// when the run is killed.
func (c canary) labels(of target) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, of.labels)
	labels[labelMade] = strconv.FormatInt(time.Now().Unix(), 10)
	labels["io.keepmum.leaktest.canary"] = c.plain
	return labels
}

// runToEnd starts a container and waits until it exits with 0.
func (e *engine) runToEnd(ctx context.Context, id string) error {
	ended, failed := e.docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := e.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case end := <-ended:
		if end.StatusCode != 0 {
			return fmt.Errorf("its program exited with %d", end.StatusCode)
		}
		return nil
	}
}

// atLength returns a context for requests that must not be cancelled: one that
// creates something would leave it behind, and so would one that removes it. It
// ends after a minute.
func atLength(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// removeContainer removes a container that this package made.
func (e *engine) removeContainer(ctx context.Context, id string) error {
	ctx, cancel := atLength(ctx)
	defer cancel()
	return e.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
}

// removeImage removes an image that this package made.
func (e *engine) removeImage(ctx context.Context, id string) error {
	ctx, cancel := atLength(ctx)
	defer cancel()
	_, err := e.docker.ImageRemove(ctx, id, image.RemoveOptions{Force: true, PruneChildren: true})
	return err
}
