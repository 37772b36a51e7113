package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/sys"
)

// stdio is the container's descriptors 0 to 2 and what was made of them. All
// files live as long as PID 1.
type stdio struct {
	container [3]*os.File // as the engine gave them: for the command and sidecars
	gateway   [3]*os.File // stdin is /dev/null, the others are its own
	worker    [3]*os.File // /dev/null
	log       *os.File    // our own stderr, non-blocking
	shared    error       // why the copies are not file descriptions of their own
}

// openStdio opens stdout and stderr anew, once for us and once for the gateway.
// A descriptor that is only duplicated shares its file description: the agent
// could switch O_NONBLOCK for all of us, or for a file move its offset. What
// cannot be opened anew (a socket; a pipe of another user namespace) is
// duplicated, and that is said.
func openStdio() (*stdio, error) {
	s := &stdio{container: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
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
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|unix.O_NOCTTY|flags, 0)
	if err == nil {
		return f
	}
	s.shared = errors.Join(s.shared, err)
	copied, err := sys.Duplicate(fd, name)
	if err != nil {
		return s.worker[0] // closed: nobody reads it
	}
	return copied
}
