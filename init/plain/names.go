// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/init/plain/forward"
)

// rtMin is SIGRTMIN of the C library, which keeps 32 and 33 for itself.
const rtMin = 34

// signalNumber returns the number of a signal as users write it, and whether there
// is one. Users write a number from 1 to 64, or a name with or without SIG.
// Real-time signals are RTMIN+n and RTMAX-n (34 and 64, as in the C library).
func signalNumber(text string) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, n >= 1 && n <= forward.Last && text[0] != '+'
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	base, offset := rtMin, strings.TrimPrefix(name, "RTMIN")
	if strings.HasPrefix(name, "RTMAX") {
		base, offset = forward.Last, name[len("RTMAX"):]
	}
	if offset != name { // a real-time signal
		if offset == "" {
			return base, true
		}
		d, err := strconv.Atoi(offset)
		n := base + d
		return n, err == nil && (offset[0] == '+' || offset[0] == '-') && n >= rtMin && n <= forward.Last
	}
	n := int(unix.SignalNum("SIG" + name))
	return n, n != 0
}

// signalName returns the name of a signal for messages.
func signalName(n int) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}
