// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestMain lets a copy of this test binary (static: CGO_ENABLED=0) be gateway-init
// or gatewayctl in a tree. The text behind the program is its order: another
// version, nothing (a broken program), or an attack of hostile_test.go.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ProgramRunArg {
		os.Exit(ProgramRun(os.Args[2:]))
	}
	name := filepath.Base(os.Args[0])
	if name != "gateway-init" && name != "gatewayctl" {
		os.Exit(m.Run())
	}
	order, err := trailer()
	switch deed, argument, _ := strings.Cut(order, " "); {
	case err != nil || order == "":
		fmt.Fprintln(os.Stderr, "broken", err)
		os.Exit(1)
	case deed == "mark":
		mark(argument)
		order = "1.0"
	case deed == "hang":
		hang(argument)
	case deed == "tell":
		order = tell()
	}
	fmt.Println(name, order)
	os.Exit(0)
}

const trailerMark = "\ntrailer of a test: "

// trailer returns the text behind this program.
func trailer() (string, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer f.Close()
	end, err := f.Seek(-1100, io.SeekEnd)
	if err != nil {
		return "", err
	}
	tail := make([]byte, 1100)
	if _, err := f.ReadAt(tail, end); err != nil {
		return "", err
	}
	_, text, _ := strings.Cut(string(tail), trailerMark)
	return strings.TrimSpace(text), nil
}

// entry is a file of a fixture.
type entry struct {
	kind     fsafe.Type
	mode     uint32
	uid, gid uint32
	data     string
	hard     string // the path that this is another name of
	capable  bool
}

func dir(mode, id uint32) entry        { return entry{kind: fsafe.Directory, mode: mode, uid: id, gid: id} }
func file(mode uint32, d string) entry { return entry{kind: fsafe.Regular, mode: mode, data: d} }
func symlink(to string) entry          { return entry{kind: link, mode: 0o777, data: to} }
func (e entry) owned(id uint32) entry  { e.uid, e.gid = id, id; return e }
func (e entry) with(mode uint32) entry { e.mode = mode; return e }
func (e entry) text(data string) entry { e.data = data; return e }
func replace(e entry, old, new string) entry {
	if !strings.Contains(e.data, old) {
		panic("the fixture has no " + old)
	}
	return e.text(strings.Replace(e.data, old, new, 1))
}

// layerOf holds the entries of one layer, by path.
type layerOf map[string]entry

// fixture is an image that can be made as a directory and as an archive.
type fixture struct {
	layers  []layerOf
	config  map[string]any // .config of the image config
	history []string
	options Options
	runs    bool // write makes programs that can be run, and gives their hashes
}

func (f *fixture) base() layerOf { return f.layers[0] }

// top adds a layer on top of the others.
func (f *fixture) top() layerOf {
	f.layers = append(f.layers, layerOf{})
	return f.layers[len(f.layers)-1]
}

// common returns an image with the entries that every image has.
func common(configJSON string, people [3]string) *fixture {
	var passwd, group strings.Builder
	passwd.WriteString("root:x:0:0:root:/root:/bin/sh\n")
	group.WriteString("root:x:0:\n")
	base := layerOf{
		"/etc": dir(0o755, 0), "/etc/gateway-init": dir(0o755, 0), config.DefaultFile: file(0o644, configJSON),
		"/usr": dir(0o755, 0), "/usr/local": dir(0o755, 0), "/usr/local/bin": dir(0o755, 0), "/usr/local/sbin": dir(0o755, 0),
		"/usr/bin": dir(0o755, 0), "/bin": symlink("usr/bin"), "/usr/bin/env": file(0o755, "env"), "/root": dir(0o700, 0), "/tmp": dir(0o1777, 0),
		"/home": dir(0o755, 0), "/var": dir(0o755, 0), "/var/lib": dir(0o755, 0),
		initPath: file(0o711, ""), ctlPath: file(0o700, ""), relayPath: file(0o711, "relay"),
	}
	homes := [3]string{"/var/lib/gateway", "/sandbox", "/home/operator"}
	for i, name := range people {
		id := uint32(9001 + i)
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:\n", name, id, id, homes[i])
		fmt.Fprintf(&group, "%s:x:%d:\n", name, id)
		base[homes[i]] = dir(0o700, id)
	}
	passwd.WriteString("relay:x:9004:9004::/:\n")
	group.WriteString("relay:x:9004:\n")
	base[passwdPath], base[groupPath] = file(0o644, passwd.String()), file(0o644, group.String())
	return &fixture{
		layers: []layerOf{base},
		config: map[string]any{
			"Entrypoint": []string{initPath}, "Env": []string{"PATH=/usr/local/bin:/usr/bin"},
			"Healthcheck": map[string]any{"Test": []string{"CMD", ctlPath, "health"}}, "StopSignal": "SIGTERM",
		},
		history: []string{"/bin/sh -c #(nop) ADD file:" + strings.Repeat("ab", 32) + " in / "},
		options: Options{Sums: map[string]string{}},
	}
}

var usual = [3]string{"gateway", "sandbox", "operator"}

func demo(t testing.TB) *fixture {
	t.Helper()
	text, err := os.ReadFile("../../image/demo/config.json")
	testenv.Must(t, err)
	f := common(string(text), usual)
	f.base()["/usr/local/bin/demogateway"] = file(0o755, "demo")
	return f
}

const (
	node24   = "/usr/local/bin/node"
	package_ = "/usr/local/lib/node_modules/openclaw"
	own      = "/etc/openclaw/openclaw.json"
	ownText  = `{"gateway":{"mode":"local","auth":{"mode":"token","token":""}}}`
)

// openclaw returns an image like the one with OpenClaw. It has an execute-only
// interpreter, a script, and a sealed configuration.
func openclaw(testing.TB) *fixture {
	f := common(fmt.Sprintf(`{"gateway":{"command":[%q,%q,"gateway","run"],"token_env":"OPENCLAW_GATEWAY_TOKEN","env":{"NODE_OPTIONS":"--disable-sigusr1"},"listen":{"port_env":"OPENCLAW_GATEWAY_PORT"}},"publish":{"port":18789}}`,
		node24, package_+"/openclaw.mjs"), usual)
	maps.Copy(f.base(), layerOf{
		node24: file(0o711, "node"), "/usr/local/lib": dir(0o755, 0), "/usr/local/lib/node_modules": dir(0o755, 0), package_: dir(0o755, 0),
		package_ + "/openclaw.mjs": file(0o644, "code"), package_ + "/more.js": file(0o644, "code"), package_ + "/self": symlink("openclaw.mjs"),
		"/etc/openclaw": dir(0o755, 0), own: file(0o644, ownText),
	})
	f.pin()
	return f
}

// pin seals the configuration as it is.
func (f *fixture) pin() {
	sum := sha256.Sum256([]byte(f.base()[own].data))
	f.base()[seal.PinFile] = file(0o644, fmt.Sprintf(`{"schema":1,"files":[{"path":%q,"sha256":"%x"}]}`, own, sum))
}

// hermes returns a stand-in, because these tests do not have the program.
func hermes(testing.TB) *fixture {
	f := common(`{"gateway":{"command":["/opt/hermes/bin/hermes","gateway"],"user":"hermes","token_env":"API_SERVER_KEY","listen":{"port_env":"API_SERVER_PORT"}},"publish":{"port":8642},
		"sandbox":{"user":"agent"},"operator":{"user":"human"},"sidecars":[{"name":"tools","command":["/sandbox/tools"],"user":"agent"}]}`,
		[3]string{"hermes", "agent", "human"})
	maps.Copy(f.base(), layerOf{
		"/opt": dir(0o755, 0), "/opt/hermes": dir(0o755, 0), "/opt/hermes/bin": symlink("venv/bin"), "/opt/hermes/venv": dir(0o755, 0),
		"/opt/hermes/venv/bin": dir(0o755, 0), "/opt/hermes/venv/bin/hermes": file(0o755, "python"),
	})
	return f
}

// inOrder returns the paths of a layer. A directory comes before its entries, and
// hard links come last.
func (l layerOf) inOrder() []string {
	return slices.SortedFunc(maps.Keys(l), func(a, b string) int {
		if x, y := l[a].hard != "", l[b].hard != ""; x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
}

// program makes one of the two programs, and sets its hash in the options unless
// the test has set one. The entry /etc/order-for-NAME of the layer is its order.
func (f *fixture) program(t testing.TB, l layerOf, path, at string) {
	t.Helper()
	order := "1.0"
	if e, ok := l["/etc/order-for-"+filepath.Base(path)]; ok {
		order = e.data
	}
	copyFile(t, "/proc/self/exe", at)
	out, err := os.OpenFile(at, os.O_APPEND|os.O_WRONLY, 0)
	testenv.Must(t, err)
	_, err = out.WriteString(trailerMark + order + strings.Repeat(" ", 1100-len(trailerMark)-len(order)))
	testenv.Must(t, err)
	testenv.Must(t, out.Close())
	data, err := os.ReadFile(at)
	testenv.Must(t, err)
	if name := filepath.Base(path); f.options.Sums != nil && f.options.Sums[name] == "" {
		f.options.Sums[name] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
}

// write makes the final state of the image as a directory, which has no whiteouts.
func (f *fixture) write(t testing.TB) string {
	t.Helper()
	testenv.Root(t)
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		t.Fatal("a tree has no shared libraries: run this test with CGO_ENABLED=0, as make does")
	}
	root := t.TempDir()
	testenv.Must(t, os.Chmod(root, 0o755))
	for _, l := range f.layers {
		for _, path := range l.inOrder() {
			e, at := l[path], root+path
			testenv.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
			switch {
			case e.hard != "":
				testenv.Must(t, os.Link(root+e.hard, at))
				continue
			case e.kind == fsafe.Directory:
				testenv.Must(t, os.MkdirAll(at, 0o755))
			case e.kind == link:
				testenv.Must(t, os.Symlink(e.data, at))
			case e.kind == fsafe.Regular && e.data == "" && f.runs && (path == initPath || path == ctlPath):
				f.program(t, l, path, at)
			case e.kind == fsafe.Regular:
				testenv.Must(t, os.WriteFile(at, []byte(e.data), 0o600))
			default:
				testenv.Must(t, unix.Mknod(at, uint32(e.kind)|0o600, 0))
			}
			testenv.Must(t, os.Lchown(at, int(e.uid), int(e.gid)))
			if e.kind != link {
				testenv.Must(t, unix.Chmod(at, e.mode))
			}
			if e.capable {
				testenv.Must(t, unix.Setxattr(at, "security.capability", capability(), 0))
			}
		}
	}
	return root
}

// capability returns CAP_NET_RAW, permitted (linux/capability.h, VFS_CAP_REVISION_2).
func capability() []byte {
	return append([]byte{0, 0, 0, 2, 0, 1 << 5}, make([]byte, 14)...)
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	testenv.Must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	testenv.Must(t, err)
	_, err = io.Copy(out, in)
	testenv.Must(t, err)
	testenv.Must(t, out.Close())
}

// result returns the names of the checks that failed, and all checks by name.
func result(t testing.TB, src Source, o Options) (bad []string, all map[string]Check, r Report) {
	t.Helper()
	r, err := Run(context.Background(), src, o)
	testenv.Must(t, err)
	all = map[string]Check{}
	for _, c := range r.Checks {
		all[c.Name] = c
		if c.Result == Failed {
			bad = append(bad, c.Name)
		}
	}
	return bad, all, r
}
