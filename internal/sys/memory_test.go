// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestParseMapping(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want mapping
		ok   bool
	}{
		"program text":      {"00400000-00560000 r-xp 00000000 00:27 99 /usr/local/sbin/gateway-init", mapping{0x400000, 0x160000}, true},
		"program data":      {"006d3000-006e3000 rw-p 002d3000 00:27 99 /usr/local/sbin/gateway-init", mapping{}, false},
		"vdso":              {"7fc6-7fc7 r-xp 00000000 00:00 0 [vdso]", mapping{}, false},
		"anonymous":         {"7fc6-7fc7 r--p 00000000 00:00 0", mapping{}, false},
		"not a range":       {"7fc6 r-xp 00000000 00:27 99 /x", mapping{}, false},
		"not a number":      {"7fg6-7fg7 r-xp 00000000 00:27 99 /x", mapping{}, false},
		"backwards":         {"7fc7-7fc6 r-xp 00000000 00:27 99 /x", mapping{}, false},
		"short permissions": {"7fc6-7fc7 r 00000000 00:27 99 /x", mapping{}, false},
		"empty":             {"", mapping{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseMapping(c.line)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("%q: %x, %v; want %x, %v", c.line, got, ok, c.want, c.ok)
			}
		})
	}
}

// TestTrim checks that a program goes on after Trim, with fewer pages of its own.
func TestTrim(t *testing.T) {
	before := strings.Repeat("x", 1<<10)
	if len(programMappings()) < 2 {
		t.Fatalf("found %v: a Go program has text and read-only data", programMappings())
	}
	trimmer := new(Trimmer)
	trimmer.Trim()
	if data, err := os.ReadFile("/proc/self/status"); err != nil || !strings.Contains(string(data), "VmRSS") || before[1023] != 'x' {
		t.Fatalf("after Trim: %v %q", err, data)
	}
}

// TestTrimCollects checks that only one of many calls collects.
func TestTrimCollects(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	trimmer, before := new(Trimmer), collections()
	for range collectEvery - 1 {
		trimmer.Trim()
	}
	if n := collections() - before; n != 0 {
		t.Errorf("%d collections before the last call", n)
	}
	if trimmer.Trim(); collections() == before {
		t.Error("no collection")
	}
}
