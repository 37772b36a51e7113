// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine describes the machine of the figures.
func (b *bench) machine() string {
	var u unix.Utsname
	unix.Uname(&u) // cannot fail
	var versions []string
	for _, p := range b.starters {
		for _, program := range p.needs() {
			if v := program + " " + version(program); packages[program] != "" && !strings.Contains(strings.Join(versions, ","), v) {
				versions = append(versions, v)
			}
		}
	}
	return fmt.Sprintf("## gateway-init beside its peers\n\n`make bench`, %s, on %s with %d CPUs, Linux %s. Peers are Debian %s's: %s.\n",
		time.Now().Format("2 January 2006"), model(), runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), debian(), strings.Join(versions, ", "))
}

// model returns the CPU's name. arm64's /proc/cpuinfo has none.
func model() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func debian() string {
	data, err := os.ReadFile("/etc/debian_version")
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(data))
}
