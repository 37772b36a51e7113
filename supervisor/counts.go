// SPDX-License-Identifier: Apache-2.0

package supervisor

import "github.com/gateway-init/gateway-init/internal/status"

// counts is what gatewayUnit counts since PID 1 started.
type counts struct {
	crashes int          // exits and replacements that counted as failures
	starts  [origins]int // processes of the gateway
	origin  origin       // of the next start
	gaveUp  bool         // the gateway is replaced because it does not serve
}

// origin says how the gateway before a new one ended.
type origin uint8

// The origins.
const (
	originFirst        origin = iota // there was none before
	originRequest                    // we asked it to end, for a request
	originExit                       // it ended by itself
	originUnresponsive               // giveUp
	originController                 // root ended it from outside
	originFailure                    // its re-exec child did not execute it
	origins
)

// originOf returns how c ended.
func (n *counts) originOf(c *child, how ending) origin {
	switch {
	case how == endedByRoot:
		return originController
	case n.gaveUp:
		return originUnresponsive
	case c.asked:
		return originRequest
	case c.err != nil:
		return originFailure
	}
	return originExit
}

// countStart counts a new gateway. If a request replaces that one before its end is
// reported, the next start counts as requested.
func (n *counts) countStart() {
	n.starts[n.origin]++
	n.origin, n.gaveUp = originRequest, false
}

// fill sets the counters of the record.
func (n *counts) fill(r *status.Record) {
	r.Crashes = n.crashes
	r.Starts = status.Starts{
		First: n.starts[originFirst], Requested: n.starts[originRequest], Exited: n.starts[originExit],
		Unresponsive: n.starts[originUnresponsive], Controller: n.starts[originController], Failed: n.starts[originFailure],
	}
}
