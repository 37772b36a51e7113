package supervisor

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatewayinit/internal/launch"
	"gatewayinit/internal/sys"
	"gatewayinit/internal/testenv"
)

// Without a reader there is no stage: at the pids limit, or without descriptors,
// the sidecar waits for better times and nothing stays open.
func TestHandOverRefused(t *testing.T) {
	for name, c := range map[string]struct {
		errno unix.Errno
		calls []uint32
	}{
		"no-pipe": {unix.EMFILE, []uint32{unix.SYS_PIPE2}},
		"no-fork": {unix.EAGAIN, []uint32{unix.SYS_CLONE, unix.SYS_CLONE3}},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			sys.WarmThreads(24)
			d := newDesk(t).running()
			s := d.beside("always")
			s.child, s.launch.Spec = nil, launch.Spec{Argv: []string{"/bin/true"}, Token: &launch.Token{Handed: true}}
			d.c.Gateway.Spec.Token = &launch.Token{Name: "token"}
			for i := range s.launch.Stdio {
				s.launch.Stdio[i], d.c.Worker.Stdio[i] = os.Stderr, os.Stderr
			}
			before := descriptors(t)
			testenv.Refuse(t, c.errno, c.calls...)
			d.tendSidecars()
			if s.child != nil || s.reader != nil || len(d.children) != 0 {
				t.Errorf("child %v, reader %v, %d children", s.child, s.reader, len(d.children))
			}
			if s.rec.State != "failed" || !strings.HasPrefix(s.rec.Detail, "cannot hand over the token: ") {
				t.Errorf("%s: %s", s.rec.State, s.rec.Detail)
			}
			if wait := time.Until(s.due); wait < 29*time.Second || wait > 30*time.Second || !d.timers.armed(sidecarTimer) {
				t.Errorf("again in %v", wait)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, were %d", after, before)
			}
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(dir)
}
