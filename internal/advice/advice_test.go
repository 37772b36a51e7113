// SPDX-License-Identifier: Apache-2.0

package advice

import "testing"

func TestAdvice(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Tmpfs("/run/x", "mode=0700"), "run with --tmpfs /run/x:mode=0700 (compose: tmpfs: [/run/x:mode=0700]; Kubernetes: an emptyDir with medium: Memory at /run/x)"},
		{CapAdd("CHOWN", "KILL"), "run with --cap-add CHOWN --cap-add KILL (compose: cap_add: [CHOWN, KILL]; Kubernetes: capabilities.add: [CHOWN, KILL])"},
		{CapDrop(), "run with --cap-drop ALL (compose: cap_drop: [ALL]; Kubernetes: capabilities.drop: [ALL])"},
		{CapDrop("KILL"), "run with --cap-drop ALL --cap-add KILL (compose: cap_drop: [ALL], cap_add: [KILL]; Kubernetes: capabilities.drop: [ALL], capabilities.add: [KILL])"},
		{NoNewPrivs(), "run with --security-opt no-new-privileges (compose: security_opt: [no-new-privileges:true]; Kubernetes: allowPrivilegeEscalation: false)"},
		{ReadOnly(), "run with --read-only (compose: read_only: true; Kubernetes: readOnlyRootFilesystem: true)"},
		{PIDs(512), "run with --pids-limit 512 (compose: pids_limit: 512; Kubernetes: podPidsLimit: 512 of the kubelet)"},
		{Descriptors("N"), "run with --ulimit nofile=N (compose: ulimits: {nofile: N}; Kubernetes: the limit of the node's container runtime)"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}
