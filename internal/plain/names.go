package plain

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// signalNumber reads a signal as users write them: a number from 1 to 64, or a
// name with or without SIG, real-time ones as RTMIN+n and RTMAX-n (of the C
// library: 34 and 64).
func signalNumber(text string) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, n >= 1 && n <= 64 && text[0] != '+'
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	for prefix, base := range map[string]int{"RTMIN": 34, "RTMAX": 64} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		offset := 0
		if rest != "" {
			var err error
			if offset, err = strconv.Atoi(rest); err != nil || rest[0] != '+' && rest[0] != '-' {
				return 0, false
			}
		}
		n := base + offset
		return n, n >= 34 && n <= 64
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
