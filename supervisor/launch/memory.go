// SPDX-License-Identifier: Apache-2.0

package launch

import "runtime/debug"

// memoryLimit is the memory at which Go's runtime begins to collect. An idle PID 1
// has a third of it. After work, PID 1 gives back the memory that it does not need
// (sys.Trimmer).
const memoryLimit = 8 << 20

// BoundMemory makes the runtime collect at memoryLimit only. The collector's
// proportional trigger is off, because with it the runtime also wakes up every two
// minutes to collect. PID 1 calls BoundMemory before it reads anything.
func BoundMemory() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
}
