package imagebuild

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
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

// built is an image in the form of docker save.
type built struct {
	ref    string
	id     string            // digest of the configuration: the image's id in the classic image store
	digest string            // the value of its label
	parts  map[string][]byte // files of the archive
	order  []string
	size   int64 // of the layers
}

// build assembles an image. Equal images give equal archives.
func (i image) build() (built, error) {
	b := built{ref: i.ref, parts: map[string][]byte{}}
	var doc document
	doc.Architecture, doc.OS, doc.Config = i.arch, "linux", i.config
	doc.Created = epoch().Format("2006-01-02T15:04:05Z")
	doc.RootFS.Type = "layers"
	var files []string
	for _, layer := range i.layers {
		var stream bytes.Buffer
		if err := layer.writeTar(&stream); err != nil {
			return built{}, err
		}
		sum := digest(stream.Bytes())
		doc.RootFS.DiffIDs = append(doc.RootFS.DiffIDs, "sha256:"+sum)
		doc.History = append(doc.History, history{Created: doc.Created, CreatedBy: "keepmum"})
		files = append(files, sum+".tar")
		b.add(sum+".tar", stream.Bytes())
		b.size += int64(stream.Len())
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return built{}, err
	}
	if b.digest = i.digest; b.digest == "" {
		b.digest = "sha256:" + digest(plain)
	}
	doc.Config.Labels = maps.Clone(i.config.Labels)
	if doc.Config.Labels == nil {
		doc.Config.Labels = map[string]string{}
	}
	doc.Config.Labels[docker.LabelBuild] = b.digest
	labelled, err := json.Marshal(doc)
	if err != nil {
		return built{}, err
	}
	b.id = "sha256:" + digest(labelled)
	name := digest(labelled) + ".json"
	b.add(name, labelled)
	list, err := json.Marshal([]map[string]any{{"Config": name, "Layers": files, "RepoTags": []string{i.ref}}})
	if err != nil {
		return built{}, err
	}
	b.add("manifest.json", list)
	return b, nil
}

// add adds a file of the archive; the same name means the same content.
func (b *built) add(name string, data []byte) {
	if _, ok := b.parts[name]; !ok {
		b.order = append(b.order, name)
	}
	b.parts[name] = data
}

// writeTo writes the archive as docker load reads it.
func (b built) writeTo(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, name := range b.order {
		file := entry{kind: tar.TypeReg, mode: 0o644, data: b.parts[name]}
		if err := file.writeTo(out, name); err != nil {
			return err
		}
	}
	return out.Close()
}

// archive is the image in the form that the use case takes.
func (b built) archive() images.Archive {
	return images.Archive{Ref: b.ref, Digest: b.digest, Size: b.size, Write: b.writeTo}
}

// digest is the SHA-256 of data, in hexadecimal digits.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
