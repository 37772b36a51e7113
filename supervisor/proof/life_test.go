// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestWorkInALife checks that a worker sends no byte to a listener that it has not seen
// before the connection, not even the first of a health check.
func TestWorkInALife(t *testing.T) {
	ended := exec.Command("/bin/sleep", "100")
	check(t, ended.Start())
	pidfd, err := sys.PidfdOpen(ended.Process.Pid)
	check(t, err)
	defer unix.Close(pidfd)
	check(t, ended.Process.Kill())
	testenv.Eventually(t, "ended", func() bool { return sys.IsReadable(pidfd) })
	defer ended.Wait() // it is not reaped during the test
	alive, err := sys.PidfdOpen(os.Getpid())
	check(t, err)
	defer unix.Close(alive)
	for name, c := range map[string]struct {
		uid    uint32 // of the server
		change func(*Job, *sockets.Listener)
		want   Verdict
	}{
		"ours":           {me, func(*Job, *sockets.Listener) {}, OK},
		"alive":          {me, func(j *Job, _ *sockets.Listener) { j.PIDFD = alive }, OK},
		"ended":          {me, func(j *Job, _ *sockets.Listener) { j.PIDFD = pidfd }, Unproven},
		"other-listener": {me, func(_ *Job, l *sockets.Listener) { l.Cookie++ }, OtherListener},
		"stranger":       {stranger, func(_ *Job, l *sockets.Listener) { l.UID = me }, ForeignPeer},
		"other-address": {me, func(_ *Job, l *sockets.Listener) {
			l.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), l.Addr.Port())
		}, Refused},
		"passed":     {stranger, func(j *Job, l *sockets.Listener) { j.UID, j.Held = stranger, []uint64{l.Cookie} }, OK},
		"not-passed": {me, func(j *Job, l *sockets.Listener) { j.Held = []uint64{l.Cookie + 1} }, ForeignPeer},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "tcp4", "127.0.0.1:0", c.uid, good)
			ls, err := sockets.Listeners(s.Port())
			check(t, err)
			w := &worker{job: job(s.Port()), listeners: func(uint16) ([]sockets.Listener, error) { return ls, nil }}
			c.change(&w.job, &ls[0])
			if got := w.work([]byte(secret)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if heard := s.Heard(); (heard == "") != (c.want != OK) {
				t.Errorf("heard %q", heard)
			}
		})
	}
}
