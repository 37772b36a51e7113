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

// Topologies of the containers in tests (docs/design.md, section 11). The same test
// bodies run in each, chosen by GATEWAY_TOPOLOGY. MainOptions say which tests run.
const (
	// TopologyVariable is the environment variable that names the topology.
	TopologyVariable = "GATEWAY_TOPOLOGY"
	direct           = ""         // PID 1 is our root process
	managed          = "managed"  // PID 1 is a foreign root process, and all others are one user below it
	nonRoot          = "non-root" // PID 1, gateway and agent are one user without an entry in passwd
)

// NonRootUID is the uid of all processes in the non-root topology.
const NonRootUID = 1000

// known reports whether value is the name of a topology.
func known(value string) bool { return value == direct || value == managed || value == nonRoot }

// NonRoot reports whether everything in the containers is one user. Then tests of
// separated users do not apply.
func NonRoot(t testing.TB) bool {
	t.Helper()
	v := os.Getenv(TopologyVariable)
	if !known(v) {
		t.Fatalf("%s=%s is no topology", TopologyVariable, v)
	}
	return v != direct
}

// Managed reports whether PID 1 is foreign.
func Managed() bool { return os.Getenv(TopologyVariable) == managed }

// Entry returns the command line before gateway-init's own arguments.
func Entry() []string {
	if Managed() {
		return []string{"foreign-init", fmt.Sprint(NonRootUID), "/usr/local/sbin/gateway-init"}
	}
	return nil
}

// UID returns id, or the uid of the one user.
func UID(t testing.TB, id uint32) uint32 {
	t.Helper()
	if NonRoot(t) {
		return NonRootUID
	}
	return id
}

// Flags returns the flags of the README's docker run command in this topology.
func Flags(t testing.TB) []string {
	t.Helper()
	if NonRoot(t) {
		return NonRootFlags(t)
	}
	return ReadmeFlags()
}

// WritableFlags is Flags without those that make the image's file system read-only.
func WritableFlags(t testing.TB) []string {
	t.Helper()
	if !NonRoot(t) {
		return []string{} // plain docker run
	}
	return slices.DeleteFunc(NonRootFlags(t), func(flag string) bool {
		return flag == "--read-only" || flag == "--tmpfs" || flag == Tmp
	})
}

// NonRootFlags returns the flags of the README's docker run command without root.
func NonRootFlags(t testing.TB) []string {
	t.Helper()
	if Managed() {
		return append([]string{
			"--entrypoint", "/usr/local/bin/demotools",
			"--read-only", "--tmpfs", Tmp, "--pids-limit", "512",
			"--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "KILL",
		}, OneUserPrograms(t)...)
	}
	return append([]string{
		"--user", fmt.Sprintf("%d:%d", NonRootUID, NonRootUID),
		"--read-only", "--tmpfs", Tmp, "--pids-limit", "512",
		"--security-opt", "no-new-privileges", "--cap-drop", "ALL",
	}, OneUserPrograms(t)...)
}

// OneUserPrograms returns the flags that mount programs with the modes that such
// containers need. gatewayctl is 0700 in the demo image. The demo gateway is 0711
// there. The kernel hides the descriptors of such a process from other processes of
// its user, so PID 1 could not prove which process owns the port.
func OneUserPrograms(t testing.TB) (flags []string) {
	t.Helper()
	for _, name := range []string{"gatewayctl", "demogateway"} {
		flags = append(flags, "-v", filepath.Join(Root(t), "bin", name)+":/usr/local/bin/"+name+":ro")
	}
	return flags
}

// execUser returns the container's user for a test's user. A number is unchanged.
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

// ExecArgs returns docker exec's command line for a test's user, up to the
// container's name.
func ExecArgs(t testing.TB, user string, flags ...string) []string {
	t.Helper()
	all := append([]string{"exec"}, flags...)
	if user = execUser(t, user); user != "" {
		all = append(all, "-u", user)
	}
	return all
}

// runtimeDirs returns the possible runtime directories of a topology.
func runtimeDirs(t testing.TB) []string {
	t.Helper()
	if NonRoot(t) {
		return []string{fmt.Sprintf("/dev/shm/gateway-init-%d", NonRootUID)}
	}
	return []string{"/run/gateway-init", "/dev/.gateway-init"}
}

// RuntimePath returns the host's path of a file in the runtime directory, even if
// the file does not exist.
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

// OfGateway reports whether p belongs to the gateway's user. If all are one user,
// it reports whether p executes the demo gateway's program.
func (c *Container) OfGateway(p Process) bool {
	if NonRoot(c.t) {
		return p.program() == "demogateway"
	}
	return p.UID == GatewayUID
}

// OfAgent is OfGateway for the sandbox user. The agents of the tests execute
// demotools.
func (c *Container) OfAgent(p Process) bool {
	if NonRoot(c.t) {
		return p.PID != 1 && p.program() == "demotools" // a foreign PID 1 executes it too
	}
	return p.UID == SandboxUID
}

// EndAgent sends SIGKILL to the agent's processes of a name, "" for all. It ignores
// a process that has exited: gatewayctl status inspects a foreign listener in a
// short-lived process of the listener's user.
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

// program returns the name of the program that p executes, whatever its title. A
// zombie executes no program any more and counts for its parent.
func (p Process) program() string {
	for _, pid := range []int{p.HostPID, p.HostParent} {
		if path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			return filepath.Base(path)
		}
	}
	return ""
}
