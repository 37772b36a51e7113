// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Pids is a limit on processes and threads (the pids controller of a cgroup), and how
// many of them there are.
type Pids struct{ Max, Current int }

// Free returns how many more there may be.
func (p Pids) Free() int { return max(0, p.Max-p.Current) }

// String returns the figures for a message.
func (p Pids) String() string { return fmt.Sprintf("%d of %d pids are in use", p.Current, p.Max) }

// CheckPids returns an error with the figures if there is no room for n more processes
// and threads.
func CheckPids(n int) error {
	if p, ok := ReadPids(); ok && p.Free() < n {
		return fmt.Errorf("%v, and %d more are needed", p, n)
	}
	return nil
}

// cgroupMount is where engines mount the cgroups: all of v2, or one folder for each
// controller of v1.
const cgroupMount = "/sys/fs/cgroup"

// ReadPids returns the limit that leaves the least room, among our own cgroup and those
// above it, as far as the container shows them. ok is false if none of them is limited,
// or none can be read.
func ReadPids() (least Pids, ok bool) {
	own, _ := ReadFile("/proc/self/cgroup") // without it the mounts alone are looked at
	for _, dir := range pidsDirs(string(own)) {
		if p, limited := readPids(dir); limited && (!ok || p.Free() < least.Free()) {
			least, ok = p, true
		}
	}
	return least, ok
}

// pidsDirs returns the folders that may have the files of the controller. own is
// /proc/self/cgroup. A container has often only the lowest of them, at the mount itself.
func pidsDirs(own string) (dirs []string) {
	v2, v1 := "/", "/"
	for line := range strings.Lines(own) {
		switch f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); {
		case len(f) != 3:
		case f[1] == "":
			v2 = path.Clean("/" + f[2])
		case f[1] == "pids":
			v1 = path.Clean("/" + f[2])
		}
	}
	for _, h := range [][2]string{{cgroupMount, v2}, {cgroupMount + "/pids", v1}} {
		for dir := h[1]; ; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join(h[0], dir))
			if dir == "/" {
				break
			}
		}
	}
	return dirs
}

// readPids reads one folder. limited is false if it has no limit that can be read.
func readPids(dir string) (p Pids, limited bool) {
	var err error
	for name, to := range map[string]*int{"pids.max": &p.Max, "pids.current": &p.Current} {
		data, readErr := ReadFile(dir + "/" + name)
		if readErr == nil {
			*to, readErr = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		if readErr != nil {
			err = readErr
		}
	}
	return p, err == nil
}
