package imagebuild

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// image is what an image is built from.
type image struct {
	ref    string
	arch   string // in Go's words
	config config
	layers []rootfs
	digest string // for the label; "": computed over the whole image
}

// config is the part of an image's configuration that keepmum sets, in the
// names and order of the OCI image specification.
type config struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
}

// document is the configuration file of an image.
type document struct {
	Architecture string    `json:"architecture"`
	Config       config    `json:"config"`
	Created      string    `json:"created"`
	History      []history `json:"history"`
	OS           string    `json:"os"`
	RootFS       struct {
		DiffIDs []string `json:"diff_ids"`
		Type    string   `json:"type"`
	} `json:"rootfs"`
}

// history says how one layer was made.
type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// archive assembles the image in the form of docker save. Equal images give
// equal archives.
func (i image) archive() (images.Archive, error) {
	archive := images.Archive{Ref: i.ref, Digest: i.digest}
	doc := document{Architecture: i.arch, OS: "linux", Config: i.config, Created: epoch().Format("2006-01-02T15:04:05Z")}
	doc.RootFS.Type = "layers"
	parts, layers := rootfs{}, []string{}
	for _, layer := range i.layers {
		var stream bytes.Buffer
		if err := layer.writeTar(&stream); err != nil {
			return archive, err
		}
		sum := digest(stream.Bytes())
		doc.RootFS.DiffIDs = append(doc.RootFS.DiffIDs, "sha256:"+sum)
		doc.History = append(doc.History, history{Created: doc.Created, CreatedBy: "keepmum"})
		layers = append(layers, sum+".tar")
		parts.file(sum+".tar", 0o644, stream.Bytes())
		archive.Size += int64(stream.Len())
	}
	if archive.Digest == "" {
		archive.Digest = "sha256:" + digest(asJSON(doc))
	}
	doc.Config.Labels = map[string]string{docker.LabelBuild: archive.Digest}
	maps.Copy(doc.Config.Labels, i.config.Labels)
	config := asJSON(doc)
	name := digest(config) + ".json" // the image's id in the classic image store
	parts.file(name, 0o644, config)
	parts.file("manifest.json", 0o644, asJSON([]map[string]any{{"Config": name, "Layers": layers, "RepoTags": []string{i.ref}}}))
	archive.Write = parts.writeTar
	return archive, nil
}

// asJSON is for texts, lists and maps of texts, which cannot fail.
func asJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// digest is the SHA-256 of data, in hexadecimal digits.
func digest(data []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
