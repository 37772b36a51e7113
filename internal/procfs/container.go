// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// errCgroup is the error of a cgroup file that cannot be parsed.
var errCgroup = errors.New("cannot parse cgroup file")

// Cgroups returns the cgroup of pid in each hierarchy (proc_pid_cgroup(5)), as seen from our
// cgroup namespace. Unlike its namespaces, a process without rights cannot change it.
func Cgroups(pid int) (map[string]string, error) {
	text, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return nil, whyUnseen(pid, err)
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(text)) {
		hierarchy, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		_, path, ok := strings.Cut(rest, ":")
		if !ok {
			return nil, fmt.Errorf("%w: %.40q", errCgroup, line)
		}
		paths[hierarchy] = path
	}
	return paths, nil
}

// IsOutside reports whether a cgroup is neither ours nor below ours in some hierarchy. Both
// are results of Cgroups. A path outside our cgroup namespace begins with "/..". The root
// does not count: a container is never in it, but a process that ends is shown there.
func IsOutside(ours, theirs map[string]string) bool {
	for hierarchy, path := range theirs {
		own, known := ours[hierarchy]
		if !known || path == "/" {
			continue
		}
		if path == "/.." || strings.HasPrefix(path, "/../") || own != "/" && path != own && !strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}
