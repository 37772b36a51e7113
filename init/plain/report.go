// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"math/bits"

	"github.com/gateway-init/gateway-init/init/plain/forward"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// reporter writes one line per event to stderr, if the verbosity asks for it.
type reporter struct{ verbosity int }

func (r reporter) say(level int, kind, format string, args ...any) {
	if r.verbosity >= level {
		sys.WriteQuietly(2, fmt.Appendf(nil, "gateway-init: "+kind+": "+format+"\n", args...))
	}
}

// forwarded notes the signals that came since its last call.
func (p *initProcess) forwarded() {
	for set := forward.Seen(); set != 0; set &= set - 1 {
		sig := bits.TrailingZeros64(set) + 1
		to := int(p.Rewrite[sig])
		if to == 0 {
			p.say(3, "debug", "dropped %s", signalName(sig))
			continue
		}
		p.say(3, "debug", "forwarded %s as %s", signalName(sig), signalName(to))
		p.asked[to] = true
	}
}
