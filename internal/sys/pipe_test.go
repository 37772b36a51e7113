// SPDX-License-Identifier: Apache-2.0

package sys

import (
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
