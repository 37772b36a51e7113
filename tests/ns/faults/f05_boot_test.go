// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// Scenario F05. With 16 descriptors, 64 MiB, 64 pids, a read-only root, a
// strange /run, no /proc, or leftover files, gateway-init serves, or it ends
// with one line.
//
// A leftover, a foreign file or an odd mount made other inits hang in boot, or
// write a secret through a link. Or an operator had to remove a file by hand before
// every start. Containers that only an engine can make are in tests/e2e/faults.
func TestLeftoverFilesNeverHangBoot(t *testing.T) {
	const rt = box.Runtime
	dir := func(path string, mode uint32, uid int) box.Entry {
		return box.Entry{Path: path, Type: unix.S_IFDIR, Mode: mode, UID: uid}
	}
	file := func(path string, mode uint32, uid int) box.Entry {
		return box.Entry{Path: path, Type: unix.S_IFREG, Mode: mode, UID: uid, Data: strings.Repeat("a", 64)}
	}
	fifo := func(path string, mode uint32, uid int) box.Entry {
		return box.Entry{Path: path, Type: unix.S_IFIFO, Mode: mode, UID: uid}
	}
	own := []box.Entry{dir(rt, 0o710, 0), dir(rt+"/control", 0o700, 0), dir(rt+"/control/replies", 0o700, 0)}
	plus := func(more ...box.Entry) []box.Entry { return append(append([]box.Entry{}, own...), more...) }
	victim := file("/etc/victim", 0o644, 0)

	for name, c := range map[string]struct {
		o box.Options
		// down are words of the one line. If it is empty, the box boots and serves.
		down []string
	}{
		// Files of an earlier run, as docker restart leaves them on a tmpfs that
		// remains.
		"stale-files": {o: box.Options{Plant: plus(
			file(rt+"/gateway-token", 0o400, box.GatewayUID), file(rt+"/gateway-token.new", 0o400, 0), file(rt+"/gateway-token.reserve", 0o600, 0),
			file(rt+"/status.json", 0o600, 0), file(rt+"/status.json.new", 0o600, 0),
			fifo(rt+"/control/request", 0o600, 0), file(rt+"/control/replies/"+strings.Repeat("0", 64), 0o600, 0),
			file(rt+"/control/replies/"+strings.Repeat("1", 64)+".new", 0o600, 0))}},
		"empty-directories": {o: box.Options{Plant: own}},
		"unknown-file":      {o: box.Options{Plant: plus(file(rt+"/notes", 0o600, 0))}},

		"token-is-a-link":             {o: box.Options{Plant: plus(victim, box.Entry{Path: rt + "/gateway-token", Link: "/etc/victim"})}, down: []string{rt + "/gateway-token", "symbolic link", "remove it"}},
		"token-has-two-links":         {o: box.Options{Plant: plus(file(rt+"/other", 0o400, box.GatewayUID), box.Entry{Path: rt + "/gateway-token", Hard: rt + "/other"})}, down: []string{rt + "/gateway-token", "2 links"}},
		"token-of-the-agent":          {o: box.Options{Plant: plus(file(rt+"/gateway-token", 0o600, box.SandboxUID))}, down: []string{rt + "/gateway-token", "uid 9002"}},
		"token-is-a-directory":        {o: box.Options{Plant: plus(dir(rt+"/gateway-token", 0o700, 0))}, down: []string{rt + "/gateway-token", "directory"}},
		"new-token-of-the-agent":      {o: box.Options{Plant: plus(file(rt+"/gateway-token.new", 0o600, box.SandboxUID))}, down: []string{rt + "/gateway-token.new", "uid 9002"}},
		"reserve-is-a-link":           {o: box.Options{Plant: plus(victim, box.Entry{Path: rt + "/gateway-token.reserve", Link: "/etc/victim"})}, down: []string{rt + "/gateway-token.reserve", "symbolic link", "remove it"}},
		"log-is-a-link":               {o: box.Options{Plant: plus(victim, box.Entry{Path: rt + "/init.log.old", Link: "/etc/victim"})}, down: []string{rt + "/init.log.old", "symbolic link", "remove it"}},
		"status-is-a-link":            {o: box.Options{Plant: plus(victim, box.Entry{Path: rt + "/status.json", Link: "/etc/victim"})}, down: []string{rt + "/status.json", "symbolic link"}},
		"status-of-the-agent":         {o: box.Options{Plant: plus(file(rt+"/status.json", 0o666, box.SandboxUID))}, down: []string{rt + "/status.json", "uid 9002"}},
		"fifo-of-the-agent":           {o: box.Options{Plant: plus(fifo(rt+"/control/request", 0o666, box.SandboxUID))}, down: []string{rt + "/control/request", "uid 9002"}},
		"fifo-is-a-file":              {o: box.Options{Plant: plus(file(rt+"/control/request", 0o600, 0))}, down: []string{rt + "/control/request", "regular file"}},
		"fifo-is-a-device":            {o: box.Options{Plant: plus(box.Entry{Path: rt + "/control/request", Type: unix.S_IFCHR, Mode: 0o600})}, down: []string{rt + "/control/request", "device"}},
		"fifo-is-a-socket":            {o: box.Options{Plant: plus(box.Entry{Path: rt + "/control/request", Type: unix.S_IFSOCK, Mode: 0o600})}, down: []string{rt + "/control/request", "socket"}},
		"control-is-a-link":           {o: box.Options{Plant: []box.Entry{own[0], {Path: rt + "/control", Link: "/tmp"}}}, down: []string{rt + "/control", "link"}},
		"control-is-a-file":           {o: box.Options{Plant: []box.Entry{own[0], file(rt+"/control", 0o600, 0)}}, down: []string{rt + "/control"}},
		"control-of-the-agent":        {o: box.Options{Plant: []box.Entry{own[0], dir(rt+"/control", 0o700, box.SandboxUID)}}, down: []string{rt + "/control", "permission denied"}},
		"control-is-open":             {o: box.Options{Plant: []box.Entry{own[0], dir(rt+"/control", 0o777, 0)}}, down: []string{rt + "/control", "0777"}},
		"directory-in-replies":        {o: box.Options{Plant: plus(dir(rt+"/control/replies/x", 0o700, 0))}, down: []string{rt + "/control/replies/x", "directory"}},
		"runtime-dir-of-agent":        {o: box.Options{Plant: []box.Entry{dir(rt, 0o755, box.SandboxUID)}}, down: []string{"runtime directory", "uid 9002"}},
		"runtime-dir-closed-by-agent": {o: box.Options{Plant: []box.Entry{dir(rt, 0o700, box.SandboxUID)}}, down: []string{"runtime directory", "permission denied"}},
		"runtime-dir-closed":          {o: box.Options{Plant: []box.Entry{dir(rt, 0o700, 0)}}},
		"mount-of-0700":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=0700,size=1m"}}}},
		"runtime-dir-is-open":         {o: box.Options{Plant: []box.Entry{dir(rt, 0o777, 0)}}, down: []string{"runtime directory", "0777"}},
		"runtime-dir-is-a-link":       {o: box.Options{Plant: []box.Entry{{Path: rt, Link: "/tmp"}}}, down: []string{rt, "link"}},
		"runtime-dir-is-a-file":       {o: box.Options{Plant: []box.Entry{file(rt, 0o600, 0)}}, down: []string{rt}},
		"run-is-noexec":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,size=1m", Flags: unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV}}}},
		"run-is-sticky":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=1777,size=1m"}}}},
		"run-is-0777":                 {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0777,size=1m"}}}, down: []string{"/run", "not sticky", "0777"}},
		"run-is-group-writable":       {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0775,size=1m"}}}, down: []string{"/run", "not sticky", "0775"}},
		"run-of-the-agent":            {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,uid=9002,size=1m"}}}, down: []string{"/run", "uid 9002"}},
		"run-is-read-only":            {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755", Flags: unix.MS_RDONLY}}}, down: []string{rt, "read-only"}},
		"run-has-too-few-inodes":      {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,nr_inodes=12"}}}, down: []string{"more files fit (inodes) and 16 are needed", "make room"}},
		"run-has-enough-inodes":       {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,nr_inodes=32"}}}},
		"run-has-no-room":             {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,size=4k"}}, Plant: []box.Entry{file("/run/big", 0o600, 0)}}, down: []string{"bytes are free"}},
		"run-has-no-inodes":           {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755,size=1m,nr_inodes=4"}}}, down: []string{"no space"}},
		"mount-of-the-runtimedir":     {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=0711,size=1m"}}}},
		"mount-of-0777":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=0777,size=1m"}}}},
		"mount-of-1777":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=1777,size=1m"}}}},
		"mount-of-2777":               {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=2777,gid=2000,size=1m"}}}},
		"config-map": {o: box.Options{
			Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: "/etc/gateway-init", Data: "mode=0755"}},
			Plant: []box.Entry{
				{Path: "/etc/gateway-init/..2026_11_30/config.json", Type: unix.S_IFREG, Mode: 0o644, Data: string(harness.DemoConfig(t, nil))},
				{Path: "/etc/gateway-init/..data", Link: "..2026_11_30"}, {Path: "/etc/gateway-init/config.json", Link: "..data/config.json"},
			}}},
		"mount-of-0777-in-use": {o: box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: rt, Data: "mode=0777,size=1m"}}, Plant: []box.Entry{file(rt+"/notes", 0o600, 0)}}, down: []string{rt, "0777", "an emptyDir with medium: Memory at " + rt}},
		"no-proc":              {o: box.Options{NoProc: true}, down: []string{"/proc"}},
		"44-descriptors":       {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_NOFILE: 44}}},
		"32-and-not-confined":  {o: box.Options{Config: unconfined, Limits: map[int]uint64{unix.RLIMIT_NOFILE: 32}}},
		"16-and-not-confined":  {o: box.Options{Config: unconfined, Limits: map[int]uint64{unix.RLIMIT_NOFILE: 16}}, down: []string{"16 file descriptors", "--ulimit nofile=32"}},
		"16-descriptors":       {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_NOFILE: 16}}, down: []string{"16 file descriptors", "--ulimit nofile=44"}},
		"8-descriptors":        {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_NOFILE: 8}}, down: []string{"8 file descriptors", "--ulimit"}},
		"64-pids":              {o: box.Options{Pids: 64}},
		"63-pids":              {o: box.Options{Pids: 63}, down: []string{"a pids limit of 63", "--pids-limit 64"}},
		"16-pids":              {o: box.Options{Pids: 16}, down: []string{"a pids limit of 16", "--pids-limit 64"}},
		"8-pids":               {o: box.Options{Pids: 8}, down: []string{"a pids limit of 8", "--pids-limit 64"}},
		"no-pending-signals":   {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_SIGPENDING: 0}}, down: []string{"of 0 pending signals", "--ulimit sigpending="}},
		"enough-address-space": {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_AS: 2 << 30}}},
		"few-processes":        {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_NPROC: 8}}, down: []string{"a limit of 8 processes", "--ulimit nproc=64"}},
		"small-files":          {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_FSIZE: 0}}, down: []string{"a limit of 0 bytes of a file", "--ulimit fsize=4194304"}},
		"4-MiB-files":          {o: box.Options{Limits: map[int]uint64{unix.RLIMIT_FSIZE: 4 << 20}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := box.Start(t, c.o)
			if c.down != nil {
				isDown(t, b, c.down)
				return
			}
			b.WaitServing(10 * time.Second)
			b.MustCtl("restart")
			b.MustCtl("restart", "--rotate-token")
			b.WaitServing(10 * time.Second)
			if data, err := os.ReadFile(b.Path("/etc/victim")); err == nil && string(data) != victim.Data {
				t.Errorf("the victim of a link is %q", data)
			}
			b.Signal(unix.SIGTERM)
			if s := b.Wait(10 * time.Second); s.ExitStatus() != 0 {
				t.Errorf("ended with %d", s.ExitStatus())
			}
		})
	}
}

// TestLowMemoryLimitsEndBootWithOneLine checks limits with which Go's runtime cannot
// start. It printed a trace and ended with 2.
func TestLowMemoryLimitsEndBootWithOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		resource int
		limit    uint64
		down     []string
	}{
		"little-address-space": {unix.RLIMIT_AS, 1200 << 20, []string{"1280 MiB of address space", "--ulimit "}},
		"little-data":          {unix.RLIMIT_DATA, 60 << 20, []string{"80 MiB of data", "--ulimit "}},
	} {
		t.Run(name, func(t *testing.T) {
			isDown(t, box.Start(t, box.Options{Limits: map[int]uint64{c.resource: c.limit}}), c.down)
		})
	}
}

// isDown checks that PID 1 has exited before any gateway was started, with exactly
// one line that is no warning. The line names the cause.
func isDown(t *testing.T, b *box.Box, words []string) {
	t.Helper()
	if s := b.Wait(10 * time.Second); s.ExitStatus() != 1 {
		t.Errorf("ended with %d", s.ExitStatus())
	}
	var said []string
	for line := range strings.Lines(b.Log()) {
		if !strings.HasPrefix(line, `{"time":`) || !strings.Contains(line, `,"level":"warn",`) {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "gateway-init: cannot ") {
		t.Fatalf("not one line: %q", said)
	}
	for _, word := range words {
		if !strings.Contains(said[0], word) {
			t.Errorf("no %q in: %s", word, said[0])
		}
	}
	if !slices.ContainsFunc([]string{"remove it", "--tmpfs ", "--ulimit ", "--pids-limit ", "chown root ", "must mount "}, func(advice string) bool {
		return strings.Contains(said[0], advice)
	}) {
		t.Errorf("it does not say what to do: %s", said[0])
	}
}
