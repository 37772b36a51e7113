// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names of the images that make image builds.
const (
	DemoImage = "gateway-demo:dev"
	InitImage = "gateway-init:dev"
)

// OpenClawImage is the image of make openclaw. Without it its tests skip, if that
// is allowed.
const OpenClawImage = "gateway-openclaw:dev"

// UIDs of the images.
const (
	GatewayUID  = 9001
	SandboxUID  = 9002
	OperatorUID = 9003
)

// Port is the demo gateway's port.
const Port = 18789

// Tmp is the value of --tmpfs for /tmp in the documented commands. The pages have it in a
// memory of the container, so it is bounded.
const Tmp = "/tmp:size=256m"

// ReadmeFlags returns the flags of the README's docker run command. A test compares
// the two.
func ReadmeFlags() []string {
	return []string{
		"--read-only", "--tmpfs", "/run/gateway-init:mode=0700,size=1m", "--tmpfs", Tmp, "--pids-limit", "512",
		"--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "KILL",
		"--cap-add", "SETGID", "--cap-add", "SETUID", "--cap-add", "SETPCAP",
	}
}

// Options are the options of a container. The zero value is the README's command
// with the demo image and a good gateway.
type Options struct {
	Image string   // default DemoImage
	Flags []string // replace ReadmeFlags if not nil; []string{} is plain docker run
	Extra []string // more flags of docker run
	Args  []string // options of gateway-init
	// Command is the container's command, run as the sandbox user.
	Command []string
	// Published means that PID 1 holds the demo image's port, as it does by the image's own
	// configuration. Without it the gateway itself listens on the port.
	Published bool
	// Config is merged over that configuration (image/demo/config.json,
	// image/profiles/openclaw.json). Objects are merged member by member, nil
	// deletes a member, and any other value replaces it. RawConfig is written
	// unchanged instead. Either is mounted as /etc/gateway-init and owned by root.
	Config    map[string]any
	RawConfig []byte
	Env       map[string]string
	// Misbehave is the demo gateway's misbehave.json at the start. Later, use
	// Container.SetMisbehave.
	Misbehave map[string]any
	// NoState leaves the gateway's home as it is in the image, read-only with
	// --read-only, instead of mounting a directory of the host.
	NoState bool
}

// engine returns the name of the engine's command.
func engine() string {
	if e := os.Getenv("ENGINE"); e != "" {
		return e
	}
	return "docker"
}

// Root returns the path of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("cannot find the repository above the working directory: %v", errors.Join(err, os.ErrNotExist))
	return ""
}

// DemoConfig returns image/demo/config.json without a published port and with over merged
// into it. Most tests are about a gateway whose port the agent can take.
func DemoConfig(t testing.TB, over map[string]any) []byte {
	t.Helper()
	unpublished := map[string]any{"publish": nil, "gateway": map[string]any{"listen": map[string]any{"port_env": nil, "port": Port}}}
	return MergedJSON(t, "image/demo/config.json", unpublished, over)
}

// PublishedConfig returns image/demo/config.json with over merged into it.
func PublishedConfig(t testing.TB, over map[string]any) []byte {
	t.Helper()
	return MergedJSON(t, "image/demo/config.json", over)
}

// MergedJSON returns a JSON file of the repository with the objects of over merged into it.
func MergedJSON(t testing.TB, name string, over ...map[string]any) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	var base map[string]any
	if err := json.Unmarshal(data, &base); err != nil {
		t.Fatal(err)
	}
	for _, o := range over {
		base = merge(base, o)
	}
	merged, err := json.MarshalIndent(base, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func merge(base, over map[string]any) map[string]any {
	for key, value := range over {
		below, isObject := value.(map[string]any)
		old, wasObject := base[key].(map[string]any)
		switch {
		case value == nil:
			delete(base, key)
		case isObject && wasObject:
			base[key] = merge(old, below)
		default:
			base[key] = value
		}
	}
	return base
}

// runArgs returns the command line of docker run up to the image's arguments.
func (c *Container) runArgs(o Options) []string {
	flags := o.Flags
	if flags == nil {
		flags = Flags(c.t)
	}
	args := append([]string{"run", "-d", "--name", c.Name, "--label", "gateway-init-test=" + c.t.Name()}, flags...)
	mounted := slices.ContainsFunc(o.Extra, func(s string) bool { return strings.Contains(s, ":/etc/gateway-init") })
	if o.Config != nil || o.RawConfig != nil || o.Image == DemoImage && !o.Published && !mounted {
		args = append(args, "-v", c.writeConfig(o)+":/etc/gateway-init:ro")
	}
	if !o.NoState {
		c.stateDir = HostDir(c.t, "state", int(UID(c.t, GatewayUID)), 0o700)
		args = append(args, "-v", c.stateDir+":/var/lib/gateway")
		if o.Misbehave != nil {
			c.SetMisbehave(o.Misbehave)
		}
	} else if o.Misbehave != nil {
		c.t.Fatal("Misbehave needs the state directory: use Env DEMO_MISBEHAVE with NoState")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		args = append(args, "-e", name+"="+o.Env[name])
	}
	return append(args, o.Extra...)
}

// writeConfig puts the configuration into a directory of the host.
func (c *Container) writeConfig(o Options) string {
	c.t.Helper()
	data := o.RawConfig
	switch {
	case data != nil:
	case o.Image == OpenClawImage:
		data = MergedJSON(c.t, "image/profiles/openclaw.json", o.Config)
	case o.Published:
		data = PublishedConfig(c.t, o.Config)
	default:
		data = DemoConfig(c.t, o.Config)
	}
	c.configDir = HostDir(c.t, "config", 0, 0o755)
	writeFile(c.t, filepath.Join(c.configDir, "config.json"), data, 0, 0o644)
	return c.configDir
}

// HostDir makes a directory of the host for a mount.
func HostDir(t testing.TB, name string, uid int, mode os.FileMode) string {
	t.Helper()
	owning(t) // so that it is removed even after a panic
	dir := filepath.Join(t.TempDir(), name)
	err := os.Mkdir(dir, mode)
	if err := errors.Join(err, os.Chmod(dir, mode), os.Chown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFile replaces a file in one step, so that a starting gateway reads the old
// or the new one.
func writeFile(t testing.TB, path string, data []byte, uid int, mode os.FileMode) {
	t.Helper()
	err := os.WriteFile(path+".new", data, mode)
	if err := errors.Join(err, os.Chmod(path+".new", mode), os.Chown(path+".new", uid, uid), os.Rename(path+".new", path)); err != nil {
		t.Fatal(fmt.Errorf("cannot write %s: %w", path, err))
	}
}
