package launch

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatewayinit/internal/sys"
)

// forkBound is how long a fork may take before it is looked at; it takes less
// than a millisecond. PID 1 has the child's OOM score meanwhile, so it is short.
const forkBound = 50 * time.Millisecond

// memoryLimit is where Go's runtime begins to collect. PID 1 idles at a third of it
// and gives back what it does not need when it has worked (sys.Trim).
const memoryLimit = 8 << 20

// forkLimit is the limit during a fork, far beyond what PID 1 ever has. With none at
// all the runtime takes the heap for a huge one, and backs its own tables with huge
// pages, 2 MiB for good.
const forkLimit = 64 << 20

// BoundMemory makes the runtime collect at memoryLimit only. The collector's
// proportional trigger is off: with it the runtime also collects every two minutes,
// and wakes up for that. PID 1 calls it first of all.
func BoundMemory() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
}

// guarded makes sure that a fork comes back. Go forks by vfork(2): this thread
// sleeps in the kernel until the child has executed the stage. The child has the
// target's UID for some microseconds before that, and a process of that UID that
// sends SIGSTOP to all it may can hit them: PID 1 would stand still for as long
// as it likes. So another goroutine, on the second P (init/main.go), kills a
// child that was stopped there. The thread that sleeps cannot be stopped for a
// collection, so there must be none meanwhile.
func guarded(fork func() (int, error)) (int, error) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(forkLimit))
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(forkBound)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				killStopped()
			}
		}
	}()
	return fork()
}

// killStopped kills our children that are stopped and have not executed
// anything yet: they still have the name of our thread, and our pid cannot be
// theirs to reap, so theirs stays their own. What fails is tried again.
func killStopped() {
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if comm, err := os.ReadFile("/proc/" + name + "/comm"); err != nil || !bytes.Equal(comm, own) {
			continue
		}
		if data, err := os.ReadFile("/proc/" + name + "/status"); err == nil && stoppedChild(string(data), os.Getpid()) {
			sys.Kill(pid, syscall.SIGKILL)
		}
	}
}

// stoppedChild tells whether a status file (proc_pid_status(5)) is a stopped
// child's of parent. The kernel escapes newlines in the name.
func stoppedChild(status string, parent int) bool {
	return strings.Contains(status, "\nState:\tT ") && strings.Contains(status, "\nPPid:\t"+strconv.Itoa(parent)+"\n")
}
