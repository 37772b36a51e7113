// SPDX-License-Identifier: Apache-2.0

package policy

// MaxOOMScore is the highest adjustment of an OOM score (oom_score_adj(5)).
const MaxOOMScore = 1000

// OOMScores returns the adjustments of the gateway's and the agent's processes, where
// PID 1 has own. When memory runs out, the kernel ends the process with the highest sum
// of its memory and its adjustment, which is in thousandths of the memory that there is.
//
// They are relative to own, which the node may have given to the whole container
// (Kubernetes gives up to 1000), and are never lower. The agent's is higher by all of the
// memory, so it is ended before a gateway that has up to nine tenths of the memory. The
// rest is the gateway's, which has more memory than PID 1 anyway. If own is near the
// maximum, little is left of that.
func OOMScores(own int) (gateway, agent int) {
	agent = min(own+MaxOOMScore, MaxOOMScore)
	return own + (agent-own)/10, agent
}
