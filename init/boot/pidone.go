// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/procfs"
)

// WholeLine returns args with the words that the engine added to the command line of PID 1.
// An ENTRYPOINT in shell form is /bin/sh -c "gateway-init ...", and the engine puts the
// words of CMD behind it, where the shell takes them for parameters of its own. Without
// them the agent's command would be missing without a word. They are taken only if the
// shell is our parent and has our user, and runs nothing but this very command line.
func WholeLine(args []string) []string {
	if os.Getpid() == 1 || os.Getppid() != 1 {
		return args
	}
	one, err := procfs.Hold(1)
	if err != nil {
		return args
	}
	defer one.Close()
	if !one.Only(uint32(os.Geteuid())) {
		return args
	}
	return append(slices.Clip(args), cutOff(one.Argv, args)...)
}

// cutOff returns the words behind the script of a shell that runs args and nothing else.
func cutOff(shell, args []string) []string {
	if len(shell) < 4 || !isShell(shell[0]) || shell[1] != "-c" {
		return nil
	}
	script := strings.Fields(shell[2])
	if len(script) > 0 && script[0] == "exec" {
		script = script[1:]
	}
	if !slices.Equal(script, args) {
		return nil
	}
	return shell[3:]
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "busybox", "zsh", "ksh"}, path.Base(program))
}

// notFirst records that gateway-init is not PID 1, with what to write instead. The
// detail quotes nothing from PID 1's command line. In a shared PID namespace, another
// user may have chosen it.
func (h *hardening) notFirst() {
	var argv []string
	if one, err := procfs.Hold(1); err == nil {
		argv = one.Argv
		one.Close()
	}
	h.add("not-pid-1", fmt.Sprintf("PID 1 is %s; gateway-init ends only its own descendants, and cannot see a stop that PID 1 does not pass on", describeFirst(argv)))
}

// describeFirst says what PID 1 is, and what to write so that gateway-init is PID 1.
func describeFirst(argv []string) string {
	name := ""
	if len(argv) > 0 {
		name = path.Base(argv[0])
	}
	switch {
	case procfs.IsOtherInit(name), name == "gateway-init":
		return fmt.Sprintf("%s: run without --init (compose: no init: true), and with ENTRYPOINT [\"/usr/local/sbin/gateway-init\"]", name)
	case isShell(name) && len(argv) > 1 && argv[1] == "-c":
		return "a shell, which ignores the engine's SIGTERM: write ENTRYPOINT as a JSON list, [\"/usr/local/sbin/gateway-init\"]"
	case isShell(name):
		return "a shell, which ignores the engine's SIGTERM: start gateway-init with exec in the wrapper script"
	}
	return "another program: start gateway-init as the container's first process, ENTRYPOINT [\"/usr/local/sbin/gateway-init\"]"
}
