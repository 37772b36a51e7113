// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// forkBound is the time after which a fork that has not returned is checked. A fork
// takes less than a millisecond. PID 1 has the child's OOM score meanwhile, so the
// bound is short.
const forkBound = 50 * time.Millisecond

// memoryLimit is the memory at which Go's runtime begins to collect. An idle PID 1
// has a third of it. After work, PID 1 gives back the memory that it does not need
// (sys.Trimmer).
const memoryLimit = 8 << 20

// forkLimit is the limit during a fork, far beyond the memory that PID 1 ever has.
// Without any limit the runtime assumes a huge heap, and backs its own tables with
// huge pages, which takes 2 MiB permanently.
const forkLimit = 64 << 20

// BoundMemory makes the runtime collect at memoryLimit only. The collector's
// proportional trigger is off, because with it the runtime also wakes up every two
// minutes to collect. PID 1 calls BoundMemory before it reads anything.
func BoundMemory() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
}

// guardedFork runs fork and makes sure that it returns. Go forks by vfork(2), so this
// thread sleeps in the kernel until the child has executed gateway-init. The child
// has the target's UID for some microseconds before that. A process of that UID that
// sends SIGSTOP to all processes it may signal can hit those microseconds. PID 1
// would then stand still for as long as that process likes. So a timer kills a child
// that was stopped there. It runs on a second P, which exists only meanwhile.
//
// The sleeping thread cannot be stopped for a collection, so there must be none
// meanwhile. The raised limit lets none begin, and a change of GOMAXPROCS waits until
// none is under way (runtime.stopTheWorldGC). A goroutine that has just decided to
// begin one runs before that, because it must yield to us (runtime.Gosched).
func guardedFork(fork func() (int, error)) (int, error) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(forkLimit))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // PID 1 has one
	runtime.Gosched()
	runtime.GOMAXPROCS(2)
	var over atomic.Bool
	var timer *time.Timer
	armed := make(chan struct{})
	timer = time.AfterFunc(forkBound, func() {
		<-armed
		if killStopped(); !over.Load() {
			timer.Reset(forkBound)
		}
	})
	close(armed)
	defer timer.Stop()
	defer over.Store(true)
	return fork()
}

// killStopped kills our children that are stopped and have not executed anything
// yet. Such a child still has the name of our thread. Only we can reap it, so its
// pid is not reused meanwhile. An attempt that fails is repeated.
func killStopped() {
	own, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return
	}
	_ = procfs.EachStat(func(pid int, st procfs.Stat, err error) error {
		if err == nil && st.State == 'T' && st.PPID == own.PID && st.Comm == own.Comm {
			sys.Kill(pid, syscall.SIGKILL)
		}
		return nil
	})
}
