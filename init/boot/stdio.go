// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// stdio holds the container's descriptors 0 to 2 and the files made from them. All
// files stay open as long as PID 1 runs.
type stdio struct {
	container [3]*os.File // as the engine gave them, for the command and sidecars
	gateway   [3]*os.File // stdin is /dev/null, the others are its own
	worker    [3]*os.File // /dev/null
	log       *os.File    // our own stderr, non-blocking
	shared    error       // why the first copy is not a file description of its own
}

// openStdio opens stdout and stderr again for the gateway, and stderr for our log.
// A descriptor that is only duplicated shares its file description, so the agent
// could switch O_NONBLOCK for all of us, or move the offset of a file. A descriptor
// that cannot be opened again (a socket; a pipe of another user namespace) is
// duplicated, and shared reports that.
//
// The command and the sidecars keep the container's descriptors. If one of these is a
// regular file that was opened without O_APPEND (gateway-init > log), they would write at
// an offset of their own, over our lines. So it gets O_APPEND.
func openStdio() (*stdio, error) {
	for _, fd := range []int{1, 2} {
		if err := sys.AppendTo(fd); err != nil {
			return nil, fmt.Errorf("cannot append to descriptor %d: %w", fd, err)
		}
	}
	s := &stdio{container: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	null, err := sys.OpenFile("/dev/null", os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/null: %w", err)
	}
	s.worker = [3]*os.File{null, null, null}
	s.gateway[0] = null
	s.gateway[1] = s.reopen(1, 0)
	s.gateway[2] = s.reopen(2, 0)
	s.log = s.reopen(2, unix.O_NONBLOCK)
	return s, nil
}

func (s *stdio) reopen(fd int, flags int) *os.File {
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	f, err := sys.OpenFile(name, os.O_WRONLY|os.O_APPEND|unix.O_NOCTTY|flags)
	if err == nil {
		return f
	}
	s.shared = cmp.Or(s.shared, err)
	copied, err := sys.Duplicate(fd, name)
	if err != nil {
		return s.worker[0] // fd is closed and has no reader
	}
	return copied
}
