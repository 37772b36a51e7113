// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Topologies that the tests of the container run in (docs/design.md, section 11): the
// same test bodies, one after the other, by GATEWAY_TOPOLOGY. MainOptions say
// which.
const (
	// TopologyVariable is the environment variable that names it.
	TopologyVariable = "GATEWAY_TOPOLOGY"
	direct           = ""         // PID 1 is root
	managed          = "managed"  // PID 1 is a foreign root's, all else one user below it
	nonRoot          = "non-root" // PID 1, gateway and agent are one user without an entry in passwd
)

// NonRootUID is everybody's in the non-root topology.
const NonRootUID = 1000

// known tells whether value is the name of a topology.
func known(value string) bool { return value == direct || value == managed || value == nonRoot }

// NonRoot tells whether everything in the containers is one user: what a test
// says of separated users does not hold then.
func NonRoot(t testing.TB) bool {
	t.Helper()
	v := os.Getenv(TopologyVariable)
	if !known(v) {
		t.Fatalf("%s=%s is no topology", TopologyVariable, v)
	}
	return v != direct
}

// Managed tells whether PID 1 is a foreign one.
func Managed() bool { return os.Getenv(TopologyVariable) == managed }

// Entry is what stands before gateway-init's own arguments.
func Entry() []string {
	if Managed() {
		return []string{"foreign-init", fmt.Sprint(NonRootUID), "/usr/local/sbin/gateway-init"}
	}
	return nil
}

// UID is id, or the one user's.
func UID(t testing.TB, id uint32) uint32 {
	t.Helper()
	if NonRoot(t) {
		return NonRootUID
	}
	return id
}

// Flags are those of the README's docker run command in this topology.
func Flags(t testing.TB) []string {
	t.Helper()
	if NonRoot(t) {
		return NonRootFlags(t)
	}
	return ReadmeFlags()
}

// WritableFlags are Flags without what keeps the image's file system from being
// written to.
func WritableFlags(t testing.TB) []string {
	t.Helper()
	if !NonRoot(t) {
		return []string{} // plain docker run
	}
	return slices.DeleteFunc(NonRootFlags(t), func(flag string) bool {
		return flag == "--read-only" || flag == "--tmpfs" || flag == "/tmp"
	})
}

// NonRootFlags are the flags of the README's docker run command without root.
func NonRootFlags(t testing.TB) []string {
	t.Helper()
	if Managed() {
		return append([]string{
			"--entrypoint", "/usr/local/bin/demotools",
			"--read-only", "--tmpfs", "/tmp", "--pids-limit", "512",
			"--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "KILL",
		}, OneUserPrograms(t)...)
	}
	return append([]string{
		"--user", fmt.Sprintf("%d:%d", NonRootUID, NonRootUID),
		"--read-only", "--tmpfs", "/tmp", "--pids-limit", "512",
		"--security-opt", "no-new-privileges", "--cap-drop", "ALL",
	}, OneUserPrograms(t)...)
}

// OneUserPrograms are the flags that mount what an image for such containers
// has in another mode. gatewayctl is 0700 in the demo image. The demo gateway is
// 0711 there, and the kernel hides the descriptors of such a process from
// other processes of its user, so PID 1 could not prove whose the port is.
func OneUserPrograms(t testing.TB) (flags []string) {
	t.Helper()
	for _, name := range []string{"gatewayctl", "demogateway"} {
		flags = append(flags, "-v", filepath.Join(Root(t), "bin", name)+":/usr/local/bin/"+name+":ro")
	}
	return flags
}

// execUser is who a test's user is in the container; a number stays what it is.
func execUser(t testing.TB, user string) string {
	t.Helper()
	switch {
	case !NonRoot(t) || strings.Contains(user, ":"):
		return user
	case Managed():
		return fmt.Sprintf("%d:%d", NonRootUID, NonRootUID)
	}
	return ""
}

// ExecArgs is docker exec's command line for a test's user, up to the
// container's name.
func ExecArgs(t testing.TB, user string, flags ...string) []string {
	t.Helper()
	all := append([]string{"exec"}, flags...)
	if user = execUser(t, user); user != "" {
		all = append(all, "-u", user)
	}
	return all
}

// runtimeDirs is where gateway-init of a topology may have its files.
func runtimeDirs(t testing.TB) []string {
	t.Helper()
	if NonRoot(t) {
		return []string{fmt.Sprintf("/dev/shm/gateway-init-%d", NonRootUID)}
	}
	return []string{"/run/gateway-init", "/dev/.gateway-init"}
}

// RuntimePath is the host's path of a file in the runtime directory, whether it
// is there or not.
func (c *Container) RuntimePath(name string) string {
	c.t.Helper()
	dirs := runtimeDirs(c.t)
	for _, dir := range dirs {
		if path := c.HostPath(dir); isDir(path) {
			return filepath.Join(path, name)
		}
	}
	return c.HostPath(filepath.Join(dirs[0], name))
}

func isDir(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.IsDir()
}

// OfGateway tells whether p is of the gateway's user; where all are one user,
// whether it executes the demo gateway's program.
func (c *Container) OfGateway(p Process) bool {
	if NonRoot(c.t) {
		return p.program() == "demogateway"
	}
	return p.UID == GatewayUID
}

// OfAgent is OfGateway for the sandbox user; the agents of the tests execute
// demotools.
func (c *Container) OfAgent(p Process) bool {
	if NonRoot(c.t) {
		return p.PID != 1 && p.program() == "demotools" // a foreign PID 1 is one too
	}
	return p.UID == SandboxUID
}

// EndAgent sends SIGKILL to the agent's processes of a name, "" for all. One that
// has ended meanwhile is no error: gatewayctl status looks at a foreign listener
// in a short process of its owner's.
func (c *Container) EndAgent(comm string) {
	c.t.Helper()
	for _, p := range c.Processes() {
		if !c.OfAgent(p) || comm != "" && p.Comm != comm {
			continue
		}
		if r := c.Exec("", "demotools", "sigsend", strconv.Itoa(p.PID), "KILL"); r.Code != 0 && !strings.Contains(r.Stderr, "no such process") {
			c.t.Fatalf("cannot end %+v: %v", p, r)
		}
	}
}

// program is what p executes, whatever it calls itself; a zombie executes
// nothing any more and counts for its parent.
func (p Process) program() string {
	for _, pid := range []int{p.HostPID, p.HostParent} {
		if path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			return filepath.Base(path)
		}
	}
	return ""
}
