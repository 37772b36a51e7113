// SPDX-License-Identifier: Apache-2.0

package prepare

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// asStranger runs f on a thread that has another user's uid and no rights, and ends
// the thread with it.
func asStranger(ready chan<- error, f func()) {
	runtime.LockOSThread() // never unlocked
	const uid = uintptr(testenv.Stranger)
	_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
	if e != 0 {
		ready <- e
		return
	}
	ready <- nil
	f()
}
