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

// withLife adds what PID 1 knows about the listener of s.
func withLife(t *testing.T, j Job, s *server) Job {
	t.Helper()
	ls, err := sockets.Listeners(s.Port())
	check(t, err)
	j.Addr = s.Addr
	for _, l := range ls {
		j.Cookies = append(j.Cookies, l.Cookie)
	}
	return j
}

// TestWorkInALife checks that a worker that knows the listener sends no byte to another
// one, not even the first of a health check.
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
		uid    uint32
		change func(*Job)
		want   Verdict
	}{
		"ours":           {me, func(*Job) {}, OK},
		"alive":          {me, func(j *Job) { j.PIDFD = alive }, OK},
		"ended":          {me, func(j *Job) { j.PIDFD = pidfd }, Unproven},
		"other-listener": {me, func(j *Job) { j.Cookies[0]++ }, OtherListener},
		"stranger":       {stranger, func(*Job) {}, ForeignPeer},
		"other-address":  {me, func(j *Job) { j.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), j.Port) }, Refused},
		"one-of-several": {me, func(j *Job) { j.Cookies = append(j.Cookies, j.Cookies[0]+1) }, OK},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "tcp4", "127.0.0.1:0", c.uid, good)
			j := withLife(t, job(s.Port()), s)
			c.change(&j)
			if got := Work(j, []byte(secret)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if heard := s.Heard(); (heard == "") != (c.want != OK) {
				t.Errorf("heard %q", heard)
			}
		})
	}
}
