// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// flags returns the README's flags with another tmpfs for the runtime directory.
func flags(tmpfs ...string) []string {
	var out []string
	all := harness.ReadmeFlags()
	for i := 0; i < len(all); i++ {
		if all[i] == "--tmpfs" && strings.HasPrefix(all[i+1], "/run/") {
			i++
			continue
		}
		out = append(out, all[i])
	}
	for _, mount := range tmpfs {
		out = append(out, "--tmpfs", mount)
	}
	return out
}

// Scenario F05, with an engine. On small hosts, or with a hand-written run command,
// gateway-init may get too little, or a directory that it cannot trust. Then it
// must end with a reason at once.
func TestSmallContainerServesOrExplains(t *testing.T) {
	for name, c := range map[string]struct {
		flags, extra []string
		down         string // text of the one line, empty if it boots and serves
		missing      string // name that status has under hardening
	}{
		"readme":         {},
		"memory-64m":     {extra: []string{"--memory", "64m", "--memory-swap", "64m"}},
		"pids-64":        {extra: []string{"--pids-limit", "64"}},
		"descriptors-64": {extra: []string{"--ulimit", "nofile=64:64"}},
		"descriptors-16": {extra: []string{"--ulimit", "nofile=16:16"}, down: "cannot run with 16 file descriptors"},
		"all-small":      {extra: []string{"--memory", "64m", "--memory-swap", "64m", "--pids-limit", "64", "--ulimit", "nofile=64:64", "--cpus", "0.5"}},
		// The mode of /run itself is not tested here, because runc gives the mount the
		// mode that the directory has in the image. tests/ns/faults has those cases.
		"run-noexec":            {flags: flags("/run:mode=0755,noexec,nosuid,nodev")},
		"run-exec":              {flags: flags("/run:mode=0755,exec,suid,dev")},
		"run-of-the-agent":      {flags: flags("/run:mode=0755,uid=9002"), down: "uid 9002"},
		"runtime-dir-0700":      {flags: flags("/run/gateway-init:mode=0700")},
		"runtime-dir-0777":      {flags: flags("/run/gateway-init:mode=0777")}, // closed, because it is empty
		"runtime-dir-unbounded": {flags: flags("/run/gateway-init")},
		"runtime-dir-of-agent":  {flags: flags("/run/gateway-init:mode=0755,uid=9002"), down: "uid 9002"},
		"runtime-dir-4k":        {flags: flags("/run/gateway-init:mode=0711,size=4k"), down: "bytes are free"},
		"runtime-dir-64k":       {flags: flags("/run/gateway-init:mode=0711,size=64k")},
		"no-tmpfs-at-all":       {flags: flags()}, // /dev/.gateway-init
		"plain-docker-run":      {flags: []string{}, missing: "engine-capabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			b := harness.Start(t, harness.Options{Flags: c.flags, Extra: c.extra})
			if c.down != "" {
				endsWithOneLine(t, b, c.down)
				return
			}
			record := b.WaitServing(20 * time.Second)
			if c.missing != "" && !names(record, c.missing) {
				t.Errorf("no %q under hardening: %v", c.missing, record.Hardening)
			}
			checkOperations(t, b)
		})
	}
}

func names(r status.Record, missing string) bool {
	for _, h := range r.Hardening {
		if h.Name == missing {
			return true
		}
	}
	return false
}

// Scenario F05, started again. If the engine keeps the directory, a container that
// starts again finds its own files of an earlier run. They are never an error.
func TestOwnLeftoverFilesAreNoError(t *testing.T) {
	for name, flags := range map[string][]string{
		"readme": nil,
		// A tmpfs of the host outlives the container's processes.
		"kept-tmpfs": append(flags(), "-v", keptTmpfs(t)+":/run/gateway-init"),
	} {
		t.Run(name, func(t *testing.T) {
			c := harness.Start(t, harness.Options{Flags: flags})
			c.WaitServing(20 * time.Second)
			first := c.Token()
			for _, again := range []func(){c.Restart, func() { c.Kill("9"); c.WaitExit(5 * time.Second); c.StartAgain() }} {
				again()
				c.WaitServing(20 * time.Second)
				if c.Token() == first {
					t.Error("the token survived its PID 1")
				}
				c.MustCtl("restart")
			}
		})
	}
}
