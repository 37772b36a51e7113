package plain

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gatewayinit/init/plain/forward"
)

// rtMin is the C library's SIGRTMIN: it keeps 32 and 33 for itself.
const rtMin = 34

// signalNumber reads a signal as users write them: a number from 1 to 64, or a
// name with or without SIG, real-time ones as RTMIN+n and RTMAX-n (of the C
// library: 34 and 64).
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

// signalName is for messages.
func signalName(n int) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}
