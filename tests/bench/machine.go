// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine describes the machine of the figures and the programs.
func (b *bench) machine() string {
	var u unix.Utsname
	unix.Uname(&u) // cannot fail
	var versions []string
	for program := range packages {
		if !b.missing[program] {
			versions = append(versions, program+" "+version(program))
		}
	}
	slices.Sort(versions)
	var builds []string
	for _, u := range b.builds {
		builds = append(builds, strings.TrimSuffix(u.name, ", gateway mode")+" is "+b.release(u))
	}
	return fmt.Sprintf("%s, on %s with %d CPUs, Linux %s, Debian %s, %s. %s. Peers are Debian's: %s.",
		time.Now().Format("2 January 2006"), model(), runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), debian(), runtime.Version(),
		strings.Join(builds, ", "), strings.Join(versions, ", "))
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
