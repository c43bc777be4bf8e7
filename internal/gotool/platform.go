package gotool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/keepmum/keepmum/internal/fault"
)

// mostFaults is how many faults of one platform are shown.
const mostFaults = 20

// source is what `go list` reports about a package for a platform.
type source struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string
	Standard   bool
	Module     *struct {
		Main      bool
		GoVersion string
	}
	Error *struct{ Err string }
}

// own reports whether the package belongs to the module that is checked.
func (s source) own() bool { return s.Module != nil && s.Module.Main }

// typeCheck type-checks packages, and all that they import, for a platform. It
// finds the errors that the compiler would. In other modules it checks only
// declarations, so a platform takes seconds; compiling everything for it would
// take most of a minute.
func (l Lint) typeCheck(ctx context.Context, goos, goarch string, patterns ...string) error {
	args := append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Standard,Module,Error"}, patterns...)
	out, err := Command{Dir: l.Dir, Env: []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}, Args: args}.Output(ctx)
	if err != nil {
		return err
	}
	c := &checker{files: token.NewFileSet(), sizes: types.SizesFor("gc", goarch), done: map[string]*types.Package{"unsafe": types.Unsafe}}
	var sources []source
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var one source
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return &fault.Error{Code: fault.Failed, What: "the output of go list cannot be read", Next: "go list -deps -json ./...", Cause: err}
		}
		sources = append(sources, one)
	}
	parsed, err := c.parse(ctx, sources)
	if err != nil {
		return err
	}
	for i, one := range sources { // each after all that it imports
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.check(one, parsed[i])
	}
	return c.verdict()
}

// checker checks packages one after the other.
type checker struct {
	files  *token.FileSet
	sizes  types.Sizes
	done   map[string]*types.Package
	own    int
	faults []string
}

// parse parses the files of all packages.
func (c *checker) parse(ctx context.Context, sources []source) ([][]*ast.File, error) {
	parsed := make([][]*ast.File, len(sources))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, one := range sources {
		parsed[i] = make([]*ast.File, len(one.GoFiles))
		for j, name := range one.GoFiles {
			group.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				file, err := parser.ParseFile(c.files, filepath.Join(one.Dir, name), nil, parser.SkipObjectResolution)
				if file == nil || err != nil && one.own() {
					return &fault.Error{Code: fault.Failed, What: fmt.Sprintf("%s cannot be parsed: %v", name, err), Next: "gofmt -l ."}
				}
				parsed[i][j] = file
				return nil
			})
		}
	}
	return parsed, group.Wait()
}

// check checks one package. A fault in another module's package is reported
// where it matters: where this module uses what is missing.
func (c *checker) check(one source, files []*ast.File) {
	if one.ImportPath == "unsafe" {
		return
	}
	config := types.Config{
		Importer: lookup(func(path string) (*types.Package, error) {
			if mapped, ok := one.ImportMap[path]; ok {
				path = mapped
			}
			if found := c.done[path]; found != nil {
				return found, nil
			}
			return nil, fmt.Errorf("%s does not exist for this platform", path)
		}),
		Sizes: c.sizes, IgnoreFuncBodies: !one.own(), FakeImportC: true,
		Error: func(err error) {
			if one.own() {
				c.faults = append(c.faults, err.Error())
			}
		},
	}
	if one.Module != nil && one.Module.GoVersion != "" {
		config.GoVersion = "go" + one.Module.GoVersion
	}
	c.done[one.ImportPath], _ = config.Check(one.ImportPath, c.files, files, nil) // Error above collects errors
	if one.own() {
		c.own++
	}
	if one.Error != nil {
		c.faults = append(c.faults, one.ImportPath+": "+one.Error.Err)
	}
}

// lookup is a function as a types.Importer.
type lookup func(string) (*types.Package, error)

// Import calls the function.
func (l lookup) Import(path string) (*types.Package, error) { return l(path) }

// verdict makes the error of a platform.
func (c *checker) verdict() error {
	switch {
	case len(c.faults) > mostFaults:
		c.faults = append(c.faults[:mostFaults], fmt.Sprintf("and %d more", len(c.faults)-mostFaults))
		fallthrough
	case len(c.faults) > 0:
		return &fault.Error{Code: fault.Failed, What: "it does not compile:\n" + strings.Join(c.faults, "\n"), Next: "correct what is named"}
	case c.own == 0:
		return &fault.Error{Code: fault.Failed, What: "no package of this module was checked", Next: "run this in keepmum's own checkout"}
	}
	return nil
}
