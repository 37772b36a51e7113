// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// neighbours are the pids of the other processes of our uid, zombies included:
// a gateway that has just started should see none of its predecessor's.
func neighbours() []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	found := []int{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if data, err := os.ReadFile(dir + "/status"); err == nil && realUID(string(data)) == os.Getuid() {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// realUID is the first number of the Uid line of /proc/PID/status, or -1.
func realUID(status string) int {
	_, rest, ok := strings.Cut(status, "\nUid:\t")
	text, _, _ := strings.Cut(rest, "\t")
	uid, err := strconv.Atoi(text)
	if !ok || err != nil {
		return -1
	}
	return uid
}
