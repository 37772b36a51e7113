// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// home has the only packages that may use a name that PID 1 itself must not use.
// supervisor/reexec runs after a fork of gateway-init, in a child with the gateway's
// UID. proof's worker runs only there.
var home = map[string][]string{
	"proof.Work":           {"supervisor/reexec"},
	"sys.DialTCP":          {"supervisor/proof", "internal/proven"},
	"proven.Dial":          {"supervisor/proof"},
	"unix.Connect":         {"internal/sys"},
	"unix.Socket":          {"internal/sys"},
	"unix.Bind":            {"internal/sys"},
	"unix.Listen":          {"internal/sys"},
	"sys.BindTCP":          {"internal/ports"}, // PID 1 holds the published port,
	"sys.Listen":           {"internal/ports"}, // and never accepts
	"unix.Accept":          nil,
	"unix.Accept4":         nil,
	"syscall.Exec":         {"supervisor/reexec"},
	"sys.Fork":             {"supervisor/launch"},
	"syscall.ForkExec":     nil,
	"syscall.StartProcess": nil,
	"os.StartProcess":      nil,
	"unix.Exec":            nil,
	"panic":                nil,
	"log.Panic":            nil,
}

// Invariant I7, in the source. gateway-init links no network stack, no way to run a
// shell, no plugins and no panics. Only the re-exec child calls the code that reads
// network bytes.
func TestInitLinksNoNetworkStack(t *testing.T) {
	root := harness.Root(t)
	cmd := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}\t{{.Dir}}\t{{join .GoFiles \" \"}}\t{{join .Imports \" \"}}", "./init")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "net/http", "os/exec", "plugin", "net/rpc":
			t.Errorf("gateway-init links %s", f[0])
		}
		pkg, ours := strings.CutPrefix(f[0], "github.com/gateway-init/gateway-init/")
		if !ours {
			continue
		}
		// The logger's module imports net for a formatter that no code calls.
		if slices.Contains(strings.Fields(f[3]), "net") {
			t.Errorf("%s imports net", pkg)
		}
		for _, name := range strings.Fields(f[2]) {
			if err := checkHomes(filepath.Join(f[1], name), pkg, used); err != nil {
				t.Error(err)
			}
		}
	}
	for name, packages := range home {
		if packages != nil && !used[name] {
			t.Errorf("nobody uses %s: this test looks for the wrong name", name)
		}
	}
}

// checkHomes compares one file with home.
func checkHomes(path, pkg string, used map[string]bool) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return err
	}
	var errs []error
	ast.Inspect(file, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if from, ok := n.X.(*ast.Ident); ok {
				name = from.Name + "." + n.Sel.Name
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok {
				name = f.Name
			}
		}
		packages, watched := home[name]
		if !watched {
			return true
		}
		used[name] = true
		if !slices.Contains(packages, pkg) {
			errs = append(errs, fmt.Errorf("%s: %s is not for package %s", files.Position(n.Pos()), name, pkg))
		}
		return true
	})
	return errors.Join(errs...)
}
