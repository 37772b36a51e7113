// SPDX-License-Identifier: Apache-2.0

package policy

import "testing"

// TestOOMScores checks that no score is below PID 1's own or beyond the maximum, and
// that the agent's is above the gateway's wherever there is room.
func TestOOMScores(t *testing.T) {
	for own := -1000; own <= MaxOOMScore; own++ {
		gateway, agent := OOMScores(own)
		if gateway < own || agent > MaxOOMScore || agent < gateway || agent == gateway && own < MaxOOMScore {
			t.Errorf("PID 1 %d, gateway %d, agent %d", own, gateway, agent)
		}
	}
}

// TestOOMOrderHoldsAtTwoGiB checks the order in which the kernel ends the processes of a
// container with 2 GiB, by its own rule (oom_badness in mm/oom_kill.c).
func TestOOMOrderHoldsAtTwoGiB(t *testing.T) {
	const total = 2 << 30
	badness := func(memory, score int) int { return memory + score*(total/1000) }
	gateway, agent := OOMScores(0)
	for _, memory := range []int{60 << 20, 745 << 20, 1800 << 20} { // of the gateway
		of, init := badness(memory, gateway), badness(4<<20, 0)
		if small := badness(1<<20, agent); small <= of || of <= init {
			t.Errorf("a gateway of %d MiB has %d, a small process of the agent %d, PID 1 %d", memory>>20, of, small, init)
		}
	}
}
