package gotool

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/keepmum/keepmum/internal/fault"
)

// mostFaults is how many faults of one platform are shown.
const mostFaults = 20

// typeCheck type-checks packages of a module, and all that they import, for a
// platform. It finds the errors that the compiler would. In other modules it
// checks only declarations, so a platform takes seconds; compiling everything for
// it would take most of a minute. A fault there is reported where it matters:
// where this module uses what is missing.
func typeCheck(ctx context.Context, dir, goos, goarch string, patterns ...string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	loaded, err := packages.Load(&packages.Config{
		Mode:    packages.NeedImports | packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedModule,
		Context: ctx, Dir: root, Env: append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		ParseFile: func(files *token.FileSet, path string, text []byte) (*ast.File, error) {
			file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(path, root+string(filepath.Separator)) {
				for _, decl := range file.Decls {
					if fn, ok := decl.(*ast.FuncDecl); ok {
						fn.Body = nil
					}
				}
			}
			return file, err
		},
	}, patterns...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: fmt.Sprintf("the packages cannot be listed: %v", err), Next: "go list -deps ./...", Cause: err}
	}
	own := 0
	var faults []string
	for one := range packages.Postorder(loaded) {
		isOwn := one.Module != nil && one.Module.Main
		if isOwn {
			own++
		}
		for _, found := range one.Errors {
			if isOwn || found.Kind == packages.ListError {
				faults = append(faults, found.Error())
			}
		}
	}
	switch {
	case len(faults) > mostFaults:
		faults = append(faults[:mostFaults], fmt.Sprintf("and %d more", len(faults)-mostFaults))
		fallthrough
	case len(faults) > 0:
		return &fault.Error{Code: fault.Failed, What: "it does not compile:\n" + strings.Join(faults, "\n"), Next: "correct what is named"}
	case own == 0:
		return &fault.Error{Code: fault.Failed, What: "no package of this module was checked", Next: "run this in keepmum's own checkout"}
	}
	return nil
}
