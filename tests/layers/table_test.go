package layers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// may is what each package imports of ours and of other modules, all of it. A
// new line here is a decision: who reads it in review asks whether that package
// should know the other. Of the standard library only
// what reaches out of the process is watched.
var may = map[string]string{
	"internal/logring":    "",
	"internal/needle":     "",
	"internal/nodeflags":  "",
	"internal/strictjson": "",
	"internal/version":    "",

	"internal/sys":   "x/sys net/netip syscall",
	"internal/fsafe": "x/sys",

	"internal/sys/entry":   "",
	"internal/sys/forward": "x/sys",
	"internal/sys/vfork":   "x/sys syscall",

	"internal/clientlock": "internal/fsafe internal/sys",
	"internal/environ":    "internal/users",
	"internal/config":     "internal/fsafe internal/strictjson syscall",
	"internal/launch":     "internal/fsafe internal/strictjson internal/sys x/sys syscall",
	"internal/prepare":    "internal/fsafe x/sys",
	"internal/privs":      "internal/sys x/sys syscall",
	"internal/runtimedir": "internal/fsafe internal/sys mountinfo",
	"internal/status":     "internal/fsafe x/sys",
	"internal/sweep":      "internal/sys supervisor/proof x/sys syscall",
	"internal/trust":      "internal/fsafe syscall",
	"internal/users":      "internal/fsafe moby/user x/sys",
	"tokenfile":           "internal/fsafe internal/sys x/sys",

	"supervisor/control": "internal/fsafe internal/sys x/sys",
	"supervisor/proof":   "internal/config internal/strictjson internal/sys supervisor/control x/sys net/netip syscall",
	"internal/exitauth":  "internal/fsafe internal/prockey internal/trust supervisor/proof x/sys",
	"supervisor": "internal/config internal/exitauth internal/launch internal/status internal/sys supervisor/control supervisor/proof " +
		"x/sys zerolog syscall",

	"internal/plain": "internal/environ internal/sweep internal/sys internal/sys/entry internal/sys/forward internal/sys/vfork internal/users internal/version x/sys",

	"internal/stage": "internal/launch internal/sys supervisor/proof tokenfile syscall",
	"internal/boot": "internal/clientlock internal/config internal/environ internal/exitauth internal/fsafe internal/launch internal/logring internal/nodeflags internal/prepare internal/privs internal/runtimedir " +
		"internal/status internal/strictjson internal/sweep internal/sys internal/trust internal/users internal/version supervisor supervisor/control " +
		"supervisor/proof tokenfile x/sys zerolog syscall os/signal",

	"image/seal":   "internal/fsafe internal/strictjson",
	"image/verify": "image/seal internal/config internal/environ internal/fsafe internal/needle internal/nodeflags internal/privs internal/sys internal/users x/sys syscall",

	"internal/client": "internal/environ internal/fsafe internal/privs internal/sweep internal/sys internal/trust internal/users tokenfile " +
		"x/sys creack/pty syscall os/signal",

	"internal/prockey":    "internal/fsafe internal/sys supervisor/proof x/sys syscall",
	"internal/witness":    "internal/config internal/fsafe internal/prockey internal/sys supervisor/proof x/sys syscall",
	"internal/controller": "internal/config internal/exitauth internal/fsafe internal/prockey internal/sys internal/trust internal/witness supervisor/control supervisor/proof x/sys syscall",

	"init": "internal/boot internal/config internal/launch internal/plain internal/stage",
	"gatewayctl": "image/seal image/verify internal/client internal/clientlock internal/config internal/controller internal/environ internal/fsafe internal/needle internal/prockey internal/runtimedir internal/status " +
		"internal/sys internal/users internal/version internal/witness supervisor/control supervisor/proof tokenfile x/sys net/netip syscall os/signal",
}

// short are the names in the table of what is not ours.
var short = map[string]string{
	"golang.org/x/sys/unix":         "x/sys",
	"github.com/moby/sys/mountinfo": "mountinfo",
	"github.com/moby/sys/user":      "moby/user",
	"github.com/rs/zerolog":         "zerolog",
	"github.com/creack/pty":         "creack/pty",
	"net/netip":                     "net/netip", // addresses only, no sockets
	"syscall":                       "syscall",
	"os/signal":                     "os/signal",
	"net":                           "net",
	"net/http":                      "net/http",
	"net/url":                       "net/url",
	"os/exec":                       "os/exec",
	"plugin":                        "plugin",
}

// A leaf that reaches up to its user cannot be read, tested or given away
// alone, and what PID 1 links grows without anybody deciding it.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "./init", "./gatewayctl") {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen[name] = true
		allowed, ok := may[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		unused := strings.Fields(allowed)
		for _, i := range p.Imports {
			label := labelOf(i)
			if label == "" {
				continue
			}
			at := slices.Index(unused, label)
			if at < 0 {
				t.Errorf("%s imports %s: the table does not let it", name, i)
				continue
			}
			unused = slices.Delete(unused, at, at+1)
		}
		if len(unused) > 0 {
			t.Errorf("%s may import %v and does not: take it out of the table", name, unused)
		}
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("%s is in the table and in neither program", name)
		}
	}
}

// labelOf is an import's name in the table; "" is what nobody watches.
func labelOf(path string) string {
	if name, ours := strings.CutPrefix(path, module); ours {
		return name
	}
	if label, ok := short[path]; ok {
		return label
	}
	if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
		return fmt.Sprintf("%s (another module)", path)
	}
	return ""
}
