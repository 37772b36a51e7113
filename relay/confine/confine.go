// SPDX-License-Identifier: Apache-2.0

// Package confine takes from the relay what it does not need. The relay copies the
// bytes of strangers, among them each token, so it must be useless to a program that
// takes it over, and closed to all other programs of its user.
package confine

import (
	"errors"
	"fmt"
	"os"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// CheckUser refuses a process that is root or has a capability. Without separation
// (oneUser) the relay has the only user there is, and may be anybody.
func CheckUser(oneUser bool) error {
	if oneUser {
		return nil
	}
	if os.Getuid() == 0 || os.Geteuid() == 0 || os.Getgid() == 0 || os.Getegid() == 0 {
		return fmt.Errorf("cannot run as root: the relay has a user of its own (relay.user)")
	}
	s, err := privs.ReadOwn()
	if err != nil {
		return err
	}
	if set := s.Permitted | s.Effective | s.Inheritable | s.Ambient; set != 0 {
		return fmt.Errorf("cannot run with capabilities (%#x): PID 1 starts the relay without any", set)
	}
	return nil
}

// CheckDescriptors refuses other descriptors than the first ones up to and with last.
func CheckDescriptors(last int) error {
	for fd := range last + 1 {
		if !sys.IsOpen(fd) {
			return fmt.Errorf("cannot start: descriptor %d is not open", fd)
		}
	}
	// Go's runtime has opened files of its own by now.
	if _, err := sys.ListenerAddr(last + 1); err == nil {
		return errors.New("cannot start: there are more listeners than --listeners says")
	}
	return nil
}

// Missing is a protection that is not there.
type Missing struct{ Name, Detail string }

// Close gives every right up. What the kernel or the engine refuses is in the result,
// because none of it is what keeps the bytes safe: that is the user of the relay.
func Close(largestFile uint64) (missing []Missing) {
	for _, m := range privs.Drop(0) {
		missing = append(missing, Missing{m.Name, m.Detail})
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"file-size", func() error { return sys.LimitFileSize(largestFile) }},
		{"seccomp", sys.RelayOnly},
	} {
		if err := step.do(); err != nil {
			missing = append(missing, Missing{step.name, err.Error()})
		}
	}
	return missing
}
