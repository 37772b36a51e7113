// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestOutputPipe checks owner, mode and flags of both ends.
func TestOutputPipe(t *testing.T) {
	uid := uint32(os.Geteuid())
	if uid == 0 {
		uid = 4711
	}
	r, w, err := OutputPipe(uid)
	testenv.Must(t, err)
	defer r.Close()
	defer w.Close()
	flags := func(f *os.File) int {
		c, err := f.SyscallConn() // Fd would make it blocking
		testenv.Must(t, err)
		var n int
		testenv.Must(t, c.Control(func(fd uintptr) { n, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }))
		testenv.Must(t, err)
		return n
	}
	if flags(r)&unix.O_NONBLOCK == 0 || flags(w)&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x and %#x: only the reading end may not block", flags(r), flags(w))
	}
	var st unix.Stat_t
	testenv.Must(t, unix.Fstat(int(w.Fd()), &st))
	if st.Uid != uid || st.Mode&0o777 != 0o200 {
		t.Errorf("owner %d, mode %o", st.Uid, st.Mode&0o777)
	}
	if fd, err := unix.FcntlInt(w.Fd(), unix.F_GETFD, 0); err != nil || fd&unix.FD_CLOEXEC == 0 {
		t.Error("other children inherit it")
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_WRONLY, 0)
	testenv.Must(t, err) // as root always; tests/ns/faults checks it as the child's user
	again.Close()
}

// TestOutputPipeFails checks that a pipe that cannot be closed to others is none, and leaves
// no descriptor.
func TestOutputPipeFails(t *testing.T) {
	for name, c := range map[string]struct {
		call uint32
		errno,
		want unix.Errno
	}{
		"no-pipe":  {unix.SYS_PIPE2, unix.EMFILE, unix.EMFILE},
		"no-mode":  {unix.SYS_FCHMOD, unix.EROFS, unix.EROFS},
		"no-owner": {unix.SYS_FCHOWN, unix.EROFS, unix.EROFS},
		"no-right": {unix.SYS_FCHOWN, unix.EPERM, 0}, // it stays ours, which is closed
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			testenv.Refuse(t, c.errno, c.call)
			before, err := ReadNames("/proc/self/fd")
			testenv.Must(t, err)
			r, w, err := OutputPipe(4711)
			if c.want == 0 && err != nil || c.want != 0 && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil {
				r.Close()
				w.Close()
			}
			if after, err := ReadNames("/proc/self/fd"); err != nil || len(after) != len(before) {
				t.Errorf("descriptors %v, then %v, %v", before, after, err)
			}
		})
	}
}
