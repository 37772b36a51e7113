// Package layers holds the tree to its one direction of imports.
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

// module is the prefix of our own packages.
const module = "gatewayinit/"

// rank of each package: it may import only what ranks lower. Leaves are 0.
var rank = map[string]int{
	"internal/sys": 0, "internal/strictjson": 0, "internal/version": 0, "internal/logring": 0, "internal/needle": 0, "internal/nodeflags": 0,
	"internal/sys/entry": 0, "internal/sys/forward": 0, "internal/sys/vfork": 0,
	"internal/fsafe": 1,
	"internal/privs": 2, "internal/launch": 2, "internal/status": 2, "internal/users": 2, "internal/trust": 2,
	"internal/prepare": 2, "internal/runtimedir": 2, "internal/clientlock": 2, "internal/config": 2, "tokenfile": 2,
	"image/seal": 2, "image/verify": 4,
	"supervisor/control": 3, "internal/environ": 3,
	"supervisor/proof": 4,
	"internal/prockey": 5, "internal/stage": 5, "internal/sweep": 5,
	"internal/exitauth": 6, "internal/client": 6, "internal/plain": 6, "internal/witness": 6,
	"supervisor":    7,
	"internal/boot": 8, "internal/controller": 8,
	"init": 9, "gatewayctl": 9,
}

// banned is what PID 1's own packages must not import (I7): the network,
// other programs, plugins. The logger's module imports net for a formatter that
// nothing calls; ours never do.
var banned = []string{"net", "net/http", "os/exec", "plugin", "net/rpc", "text/template", "html/template", "log"}

type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func list(t *testing.T, args ...string) (all []pkg) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Imports,Standard"}, args...)...)
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

func TestImportsGoOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "./init", "./gatewayctl") {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen[name] = true
		own, ok := rank[name]
		if !ok {
			t.Errorf("%s has no rank: give it one", name)
		}
		for _, i := range p.Imports {
			if below, ours := strings.CutPrefix(i, module); ours && rank[below] >= own {
				t.Errorf("%s (rank %d) imports %s (rank %d)", name, own, below, rank[below])
			}
		}
	}
	for name := range rank {
		if !seen[name] {
			t.Errorf("%s is ranked and linked by nothing", name)
		}
	}
}

func TestPID1ImportsNoNetwork(t *testing.T) {
	for _, p := range list(t, "./init") {
		if !strings.HasPrefix(p.ImportPath, module) {
			continue
		}
		for _, b := range banned {
			if slices.Contains(p.Imports, b) {
				t.Errorf("%s imports %s", p.ImportPath, b)
			}
		}
	}
	for _, p := range list(t, "./init") {
		if slices.Contains([]string{"net/http", "os/exec", "plugin"}, p.ImportPath) {
			t.Errorf("gateway-init links %s", p.ImportPath)
		}
	}
}
