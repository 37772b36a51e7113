// SPDX-License-Identifier: Apache-2.0

// Package layers checks that imports in the tree go one way.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of our packages.
const module = "github.com/gateway-init/gateway-init/"

// order is the folders of the product, from the top down: a package imports only
// packages of its own folder, and of folders below it. init, gatewayctl and
// relay are three programs, and none imports another.
var order = [][]string{{"init", "gatewayctl", "relay"}, {"supervisor"}, {"tokenfile"}, {"internal"}}

// data is the product's only package outside of order. It has files to embed, and
// only gatewayctl imports it. It imports none of our packages.
const data = module + "image/profiles"

// banned lists packages that ours must not import: the network, other programs,
// plugins (I7). The logger's module imports net for a formatter that is never
// called.
var banned = []string{"net", "net/http", "os/exec", "plugin", "net/rpc", "text/template", "html/template", "log"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T, args ...string) (all []pkg) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// layer returns the place of a package in order, and its folder. The place is -1 if
// it has none.
func layer(path string) (rank int, folder string) {
	name, _ := strings.CutPrefix(path, module)
	folder, _, _ = strings.Cut(name, "/")
	return slices.IndexFunc(order, func(folders []string) bool { return slices.Contains(folders, folder) }), folder
}

// allowed reports whether one of our packages may import another.
func allowed(from, to string) bool {
	upper, folder := layer(from)
	lower, other := layer(to)
	if to == data {
		return folder == "gatewayctl"
	}
	if folder == "relay" && other != "relay" { // it handles the bytes of strangers
		return other == "internal"
	}
	return upper >= 0 && lower >= 0 && (upper < lower || folder == other)
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range list(t, "./init", "./gatewayctl", "./relay") {
		if !strings.HasPrefix(p.ImportPath, module) {
			continue
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i+"/", module) && !allowed(p.ImportPath, i) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
}

// TestAllowed checks the rule itself, with imports that it must refuse.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"init/boot", "supervisor/proof", true}, {"gatewayctl", "internal/sys", true}, {"supervisor", "supervisor/control", true},
		{"internal/config", "supervisor", false}, {"tokenfile", "supervisor/launch", false}, {"init", "gatewayctl/verify", false},
		{"gatewayctl/client", "init/plain", false}, {"supervisor", "init/boot", false}, {"supervisor", "image/mkroot", false},
		{"gatewayctl/verify", "image/profiles", true}, {"gatewayctl", "image/mkroot", false}, {"gatewayctl", "image/profiles/more", false},
		{"relay/loop", "internal/proven", true}, {"relay", "relay/loop", true}, {"relay", "supervisor", false}, {"relay", "tokenfile", false},
		{"init/boot", "relay/bounds", false}, {"relay/loop", "image/profiles", false},
		{"init", "image/profiles", false}, {"init/boot", "image/profiles", false}, {"supervisor", "image/profiles", false},
		{"tokenfile", "image/profiles", false}, {"internal/config", "image/profiles", false},
		{"image/profiles", "internal/strictjson", false}, {"image/profiles", "gatewayctl/verify", false},
	} {
		if got := allowed(module+c.from, module+c.to); got != c.want {
			t.Errorf("%s imports %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestImportsNoNetwork(t *testing.T) {
	for _, p := range list(t, "./init", "./gatewayctl", "./relay") {
		if !strings.HasPrefix(p.ImportPath, module) {
			continue
		}
		for _, b := range banned {
			if slices.Contains(p.Imports, b) {
				t.Errorf("%s imports %s", p.ImportPath, b)
			}
		}
	}
	// gatewayctl links os/exec, which the library for its clients' terminals
	// imports.
	for program, never := range map[string][]string{"./init": {"net/http", "os/exec", "plugin"}, "./relay": {"net", "net/http", "os/exec", "plugin"}, "./gatewayctl": {"net/http", "plugin"}} {
		for _, p := range list(t, program) {
			if slices.Contains(never, p.ImportPath) {
				t.Errorf("%s links %s", program, p.ImportPath)
			}
		}
	}
}

// TestTestModulesAreNotLinked checks that neither program links a module that is there for
// tests alone.
func TestTestModulesAreNotLinked(t *testing.T) {
	tests := []string{"github.com/prometheus/", "google.golang.org/protobuf/", "github.com/munnerz/", "github.com/pandatix/"}
	for program, want := range map[string]bool{"./init": false, "./gatewayctl": false, "./gatewayctl/metrics": true} {
		args := []string{program}
		if want { // its tests do, so the names are right
			args = []string{"-test", program}
		}
		for _, module := range tests {
			found := slices.ContainsFunc(list(t, args...), func(p pkg) bool { return strings.HasPrefix(p.ImportPath, module) })
			if found != want {
				t.Errorf("%s links %s: %v, want %v", program, module, found, want)
			}
		}
	}
}
