// SPDX-License-Identifier: Apache-2.0

// Package advice says how to start the container differently: with docker or podman, in
// compose, and in Kubernetes. Each text begins with "run with".
package advice

import (
	"fmt"
	"strings"
)

// with joins the three ways to say the same.
func with(flags, compose, kubernetes string) string {
	return fmt.Sprintf("run with %s (compose: %s; Kubernetes: %s)", flags, compose, kubernetes)
}

// Tmpfs is about a tmpfs at path with these mount options. An emptyDir takes none. PID 1
// closes one that is empty.
func Tmpfs(path, options string) string {
	mount := path + ":" + options
	return with("--tmpfs "+mount, "tmpfs: ["+mount+"]", "an emptyDir with medium: Memory at "+path)
}

// CapAdd is about capabilities that are missing.
func CapAdd(names ...string) string {
	list := "[" + strings.Join(names, ", ") + "]"
	return with("--cap-add "+strings.Join(names, " --cap-add "), "cap_add: "+list, "capabilities.add: "+list)
}

// CapDrop is about capabilities that are too many. needed are those to keep.
func CapDrop(needed ...string) string {
	flags, compose, kubernetes := "--cap-drop ALL", "cap_drop: [ALL]", "capabilities.drop: [ALL]"
	if len(needed) > 0 {
		list := "[" + strings.Join(needed, ", ") + "]"
		flags += " --cap-add " + strings.Join(needed, " --cap-add ")
		compose += ", cap_add: " + list
		kubernetes += ", capabilities.add: " + list
	}
	return with(flags, compose, kubernetes)
}

// NoNewPrivs is about setuid programs.
func NoNewPrivs() string {
	return with("--security-opt no-new-privileges", "security_opt: [no-new-privileges:true]", "allowPrivilegeEscalation: false")
}

// ReadOnly is about the image's files.
func ReadOnly() string {
	return with("--read-only", "read_only: true", "readOnlyRootFilesystem: true")
}

// PIDs is about the number of processes.
func PIDs(n int) string {
	return with(fmt.Sprintf("--pids-limit %d", n), fmt.Sprintf("pids_limit: %d", n), fmt.Sprintf("podPidsLimit: %d of the kubelet", n))
}

// Descriptors is about the limit of open files. n is a number, or N.
func Descriptors(n string) string {
	return with("--ulimit nofile="+n, "ulimits: {nofile: "+n+"}", "the limit of the node's container runtime")
}
