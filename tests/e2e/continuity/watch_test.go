// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// watcher scans the processes of one container again and again, from the host, for
// two gateways that are alive at the same time.
type watcher struct {
	uid     uint32 // the gateway's
	ns      string // the container's PID namespace
	stop    chan struct{}
	done    sync.WaitGroup
	looks   int
	seen    map[string]bool // every gateway, by pid and start time
	overlap []string
}

// watch starts a watcher. result or finish ends it.
func watch(t *testing.T, c *harness.Container) *watcher {
	t.Helper()
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.HostPID()))
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{uid: harness.UID(t, harness.GatewayUID), ns: namespace, stop: make(chan struct{}), seen: map[string]bool{}}
	w.look(w.ns) // on a busy machine the next look may be late
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			default:
				w.look(w.ns)
			}
		}
	})
	return w
}

// result ends the watcher and fails the test if it ever saw two gateways.
func (w *watcher) result(t *testing.T) {
	t.Helper()
	w.finish()
	t.Logf("%d looks, %d gateways", w.looks, len(w.seen))
	for _, text := range w.overlap {
		t.Errorf("two gateways at one moment: %s", text)
	}
	if len(w.seen) < 2 {
		t.Errorf("%d looks saw %d gateways: nothing was watched", w.looks, len(w.seen))
	}
}

// finish ends the watcher after a last look and returns the number of looks.
func (w *watcher) finish() int {
	close(w.stop)
	w.done.Wait()
	w.look(w.ns)
	return w.looks
}

// look lists the gateways that are alive. One may end before the next is found, so
// both count only if the first is still alive after the second was seen. Start times
// make sure that it is the same process.
func (w *watcher) look(namespace string) {
	w.looks++
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	var alive []string // pids
	var names []string // with start times
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		name, ok := gatewayAt(e.Name(), w.uid)
		if !ok {
			continue
		}
		if link, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err != nil || link != namespace {
			continue
		}
		w.seen[name] = true
		for i, pid := range alive {
			if again, ok := gatewayAt(pid, w.uid); ok && again == names[i] {
				w.overlap = append(w.overlap, names[i]+" and "+name)
			}
		}
		alive, names = append(alive, e.Name()), append(names, name)
	}
}

// gatewayAt reports whether the host's process pid runs the demo gateway. It checks the
// effective uid, the program's name and the state. A re-exec child and a proof worker
// have another name. A helper has its parent's name until its exec, so a gateway's
// child does not count. The owner of the directory is the fastest check.
func gatewayAt(pid string, uid uint32) (name string, ok bool) {
	var st unix.Stat_t
	if err := unix.Lstat("/proc/"+pid, &st); err != nil || st.Uid != uid {
		return "", false
	}
	fields, err := harness.StatusFields("/proc/" + pid + "/status")
	if err != nil || fields["Name"] != "demogateway" || fields["State"][0] == 'Z' || fields["State"][0] == 'X' {
		return "", false
	}
	if parent, err := harness.StatusFields("/proc/" + fields["PPid"] + "/status"); err != nil || parent["Name"] == "demogateway" {
		return "", false
	}
	data, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return "", false
	}
	after := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(after) < 20 {
		return "", false
	}
	return pid + "@" + after[19], true // field 22 of stat: start time
}
