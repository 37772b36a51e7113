// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// TestForeignProcIsRefused checks that gateway-init does not start with the /proc of
// another PID namespace. The pids there belong to strangers, whom it would signal.
func TestForeignProcIsRefused(t *testing.T) {
	isDown(t, box.Start(t, box.Options{HostProc: true}), []string{"/proc", "another PID namespace"})
}

// TestHiddenProcIsRefused checks that a /proc that hides the gateway from PID 1 ends the
// container with one line, and that one that shows it does not matter.
func TestHiddenProcIsRefused(t *testing.T) {
	for _, options := range []string{"hidepid=1,gid=1234", "hidepid=2,gid=1234", "hidepid=4"} {
		t.Run(options, func(t *testing.T) {
			b := box.Start(t, box.Options{Proc: options})
			if s := b.Wait(20 * time.Second); s.ExitStatus() != 1 {
				t.Errorf("ended with %d", s.ExitStatus())
			}
			log := b.Log()
			last := log[strings.LastIndex(strings.TrimSuffix(log, "\n"), "\n")+1:]
			for _, words := range []string{"gateway-init: cannot use /proc: ", "hidepid", "must mount procfs"} {
				if !strings.Contains(last, words) {
					t.Errorf("no %q in: %s", words, last)
				}
			}
		})
	}
	for _, options := range []string{"hidepid=2", "hidepid=2,gid=0", "subset=pid"} {
		t.Run(options, func(t *testing.T) {
			b := box.Start(t, box.Options{Proc: options})
			b.WaitServing(20 * time.Second)
			b.MustCtl("restart")
		})
	}
}

// TestRestartIsRefusedIfNoProofCanBeMade checks that a restart leaves the gateway alone
// after /proc was mounted again so that it hides the gateway.
func TestRestartIsRefusedIfNoProofCanBeMade(t *testing.T) {
	b := box.Start(t, box.Options{Config: quiet})
	before := b.WaitServing(20 * time.Second)
	remount := func(options string) {
		var err error
		harness.OwnThread(func() {
			if err = harness.JoinNamespaces(b.PID); err == nil {
				err = unix.Mount("proc", "/proc", "proc", unix.MS_REMOUNT, options)
			}
		})
		testenv.Must(t, err)
	}
	remount("hidepid=2,gid=1234")
	if r := b.Ctl("restart"); r.Code != 4 || !strings.Contains(r.Stderr, "unproven") {
		t.Errorf("restart: %v", r)
	}
	if log := b.Log(); !strings.Contains(log, `"event":"refused","reason":"unproven","error":"/proc hides the process`) || strings.Contains(log, "gateway-stopping") {
		t.Error("it is not refused")
	}
	if r := b.Ctl("probe"); r.Code != 4 || !strings.Contains(r.Stderr, "unproven") {
		t.Errorf("probe: %v", r)
	}
	remount("hidepid=0,gid=0")
	b.MustCtl("probe")
	unchanged(t, b, before)
	b.MustCtl("restart")
}
