// Package opstest is the bench that tests of use cases work on: a project in its
// own directory, over the real adapters of files, and an engine's images
// in memory.
package opstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// ComposeFile declares a secret of each kind.
const ComposeFile = `name: shop
services:
  api:
    image: shop/api
    secrets: [TOKEN, EXTRA, LOGIN]
  worker:
    image: shop/worker
    secrets: [LOGIN]
secrets:
  TOKEN:
    file: ./secrets/TOKEN
    x-keepmum: {description: of the API, min_length: 8, generate: {bytes: 24, alphabet: base62}}
  LOGIN:
    file: ./secrets/LOGIN
    x-keepmum: {description: of the database, min_length: 8, rotate_every: 90d}
  EXTRA:
    file: ./secrets/EXTRA
    x-keepmum: {description: not needed, optional: true}
`

// The values of the tests: no output may hold one.
const (
	LoginValue = "login-value-77aa"
	TokenValue = "token-value-88bb"
	OtherValue = "other-value-99cc"
)

// Bench is a project in its own directory, with the real adapters.
type Bench struct {
	T         *testing.T
	Dir       string
	Workspace *secretdir.Project
	Store     *secretdir.Dir
	Running   map[string]string // digests of running services
	Said      bytes.Buffer
}

// New makes a project of ComposeFile.
func New(t *testing.T) *Bench {
	t.Helper()
	b := &Bench{T: t, Dir: t.TempDir()}
	b.Put("docker-compose.yml", ComposeFile)
	b.Open()
	return b
}

// Open opens the adapters, again after files were put in by hand.
func (b *Bench) Open() {
	b.T.Helper()
	var err error
	if b.Workspace, err = secretdir.OpenProject(b.Dir, ""); err != nil {
		b.T.Fatal(err)
	}
	if b.Store, err = secretdir.Open(filepath.Join(b.Dir, "secrets")); err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(func() { b.Workspace.Close(); b.Store.Close() })
}

// Project is the project as a command finds it.
func (b *Bench) Project() project.Project {
	return project.Project{Workspace: b.Workspace, Store: b.Store, Progress: b}
}

// Load loads the project.
func (b *Bench) Load() *project.State {
	b.T.Helper()
	state, err := b.Project().LoadValid(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	return state
}

// Write stores values, given as NAME, VALUE, NAME, VALUE.
func (b *Bench) Write(pairs ...string) {
	b.T.Helper()
	batch := project.Batch{Write: map[string]secrets.Secret{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		batch.Write[pairs[i]] = secrets.New([]byte(pairs[i+1]))
	}
	if _, err := b.Store.Update(b.T.Context(), func(*project.Snapshot) (project.Batch, error) { return batch, nil }); err != nil {
		b.T.Fatal(err)
	}
}

// Put writes a file, in place of one that is there.
func (b *Bench) Put(name, text string) {
	b.T.Helper()
	path := filepath.Join(b.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.T.Fatal(err)
	}
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.T.Fatal(err)
	}
}

// Value writes a file as secretdir does.
func (b *Bench) Value(name, value string) {
	b.T.Helper()
	b.Put(name, value)
	if err := os.Chmod(filepath.Join(b.Dir, name), 0o444); err != nil {
		b.T.Fatal(err)
	}
}

// File returns a file's text, or "" if there is none.
func (b *Bench) File(name string) string {
	data, _ := os.ReadFile(filepath.Join(b.Dir, name))
	return string(data)
}

// Tree returns everything in the project: modes, contents, and where links lead,
// by path.
func (b *Bench) Tree() map[string]string {
	b.T.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(b.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += " " + string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + to
		}
		name, err := filepath.Rel(b.Dir, path)
		tree[name] = what
		return err
	})
	if err != nil {
		b.T.Fatal(err)
	}
	return tree
}

// Same fails if something in the project is not as it was. It names the paths
// and shows no content.
func (b *Bench) Same(before map[string]string) {
	b.T.Helper()
	after := b.Tree()
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if was, there := before[path]; !there || was != after[path] {
			b.T.Errorf("%s was made or changed", path)
		}
	}
	for path := range before {
		if _, there := after[path]; !there {
			b.T.Errorf("%s was removed", path)
		}
	}
}

// Say keeps what is said.
func (b *Bench) Say(format string, args ...any) { fmt.Fprintf(&b.Said, format+"\n", args...) }

// GrantDigests answers for the running services.
func (b *Bench) GrantDigests(context.Context, string) (map[string]string, error) {
	if b.Running == nil {
		return nil, errors.New("no engine")
	}
	return b.Running, nil
}

// Silent fails if a result, an error or what was said holds a value.
func (b *Bench) Silent(result any, err error) {
	b.T.Helper()
	data, _ := json.Marshal(result)
	text := string(data) + b.Said.String()
	if err != nil {
		text += err.Error()
	}
	for _, value := range []string{LoginValue, TokenValue, OtherValue} {
		if strings.Contains(text, value) {
			b.T.Errorf("a value is in: %s", strings.ReplaceAll(text, value, "VALUE"))
		}
	}
}

// ImageStore is an engine's images, in memory.
type ImageStore struct {
	OS      string
	Images  map[string]docker.Image
	Loaded  []string
	Removed []string
	Fail    error // of LoadImage
	InUse   bool  // the first removal of an image is refused
}

func NewImageStore(refs ...string) *ImageStore {
	s := &ImageStore{OS: "linux", Images: map[string]docker.Image{}}
	for _, ref := range refs {
		s.Images[ref] = docker.Image{ID: "id of " + ref}
	}
	return s
}

func (s *ImageStore) Info(context.Context) (docker.Info, error) {
	return docker.Info{OS: s.OS, Arch: "arm64"}, nil
}

func (s *ImageStore) Image(_ context.Context, ref string) (docker.Image, bool, error) {
	image, ok := s.Images[ref]
	return image, ok, nil
}

// LoadImage takes an "archive" of the form REF DIGEST.
func (s *ImageStore) LoadImage(_ context.Context, archive io.Reader) ([]string, error) {
	if s.Fail != nil {
		return nil, s.Fail // without reading
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		return nil, err
	}
	ref, digest, _ := strings.Cut(string(data), " ")
	s.Images[ref] = docker.Image{ID: "new " + ref, Labels: map[string]string{docker.LabelBuild: digest}}
	s.Loaded = append(s.Loaded, ref)
	return []string{ref}, nil
}

func (s *ImageStore) RemoveImage(_ context.Context, ref string, force bool) error {
	if force {
		return errors.New("an image is never removed by force")
	}
	if s.InUse {
		s.InUse = false
		return &fault.Error{Code: fault.Failed, What: "in use"}
	}
	s.Removed = append(s.Removed, ref)
	return nil
}

// ImageMaker makes images of no more than their names.
type ImageMaker struct {
	Digest      string
	OfferAnswer images.PostgresOffer
	OfferErr    error
	Asked       map[string]string
	Arch        string
	Offered     int
	Made        int
}

func (m *ImageMaker) Services(_ context.Context, arch string, refs map[string]string) ([]images.Archive, error) {
	m.Asked, m.Arch = refs, arch
	var all []images.Archive
	for _, ref := range refs {
		all = append(all, Archive(ref, m.Digest))
	}
	slices.SortFunc(all, func(a, b images.Archive) int { return strings.Compare(a.Ref, b.Ref) })
	return all, nil
}

func (m *ImageMaker) Offer(context.Context, string) (images.PostgresOffer, error) {
	m.Offered++
	return m.OfferAnswer, m.OfferErr
}

func (m *ImageMaker) Postgres(_ context.Context, offer images.PostgresOffer) (images.Archive, error) {
	m.Made++
	return Archive(offer.Ref, offer.Digest), nil
}

func Archive(ref, digest string) images.Archive {
	return images.Archive{Ref: ref, Digest: digest, Size: 1_500_000, Write: func(w io.Writer) error {
		_, err := fmt.Fprint(w, ref+" "+digest)
		return err
	}}
}

// Store is a store of values that another command writes to, or that fails.
type Store struct {
	project.SecretStore
	Before      func() // runs before an update, after the snapshot of the command
	SnapshotErr error
	UpdateErr   error // of every update, before its change is asked for
}

func (s Store) Snapshot(ctx context.Context) (*project.Snapshot, error) {
	if s.SnapshotErr != nil {
		return nil, s.SnapshotErr
	}
	return s.SecretStore.Snapshot(ctx)
}

func (s Store) Update(ctx context.Context, change func(*project.Snapshot) (project.Batch, error)) (*project.Snapshot, error) {
	if s.Before != nil {
		s.Before()
	}
	if s.UpdateErr != nil {
		return nil, s.UpdateErr
	}
	return s.SecretStore.Update(ctx, change)
}

// Files is a workspace that fails.
type Files struct {
	project.Workspace
	Fail map[string]error // by method and path, such as "Read .env", or "Key"
}

func (f Files) Read(path string) ([]byte, error) {
	if err := f.Fail["Read "+path]; err != nil {
		return nil, err
	}
	return f.Workspace.Read(path)
}

func (f Files) Replace(path string, data []byte) error {
	if err := f.Fail["Replace "+path]; err != nil {
		return err
	}
	return f.Workspace.Replace(path, data)
}

func (f Files) Scaffold(path string, data []byte) (bool, error) {
	if err := f.Fail["Scaffold "+path]; err != nil {
		return false, err
	}
	return f.Workspace.Scaffold(path, data)
}

func (f Files) Key(create bool) (fingerprint.Key, bool, error) {
	if err := f.Fail["Key"]; err != nil {
		return fingerprint.Key{}, false, err
	}
	return f.Workspace.Key(create)
}
