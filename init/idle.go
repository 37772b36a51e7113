//go:build idle

package main

import _ "unsafe" // for go:linkname

// The Go runtime's monitor thread wakes up every forcegcperiod/2, a minute, to
// see whether a collection is due, even when every goroutine sleeps. PID 1
// collects by itself when it has done something (sys.Trim), so the monitor may
// sleep until there is work. The runtime has no setting for that; the linker
// allows the reference with -checklinkname=0, which make build passes together
// with the tag. A build without both works and wakes up once a minute.
//
//go:linkname forcegcperiod runtime.forcegcperiod
var forcegcperiod int64

func sleepWell() { forcegcperiod = 1 << 62 }
