// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// idleMemory is the most that the relay may have with a thousand idle connections.
const idleMemory = 16 << 20

// Scenario C12. TestThousandIdle checks the memory and the descriptors of a thousand idle
// connections, and that the thousandth is as fast as the first.
func TestThousandIdle(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	var limit unix.Rlimit
	testenv.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	r.start()
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	const connections = 1000
	var all []net.Conn
	for range connections {
		c, err := net.Dial("tcp4", published.String())
		testenv.Must(t, err)
		defer c.Close()
		all = append(all, c)
		exchange(t, c, 1)
	}
	first, last := exchange(t, all[0], 200), exchange(t, all[connections-1], 200)
	again := exchange(t, all[0], 200)
	t.Logf("200 exchanges took %v on the first connection, %v on the last", min(first, again), last)
	if last > 3*max(first, again) {
		t.Errorf("the last connection takes %v, the first one %v and %v", last, first, again)
	}
	pid := r.relay.Cmd.Process.Pid
	memory := resident(t, pid)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	testenv.Must(t, err)
	t.Logf("%d KiB and %d descriptors with %d connections", memory>>10, len(files), connections)
	if memory > idleMemory {
		t.Errorf("%d KiB with %d connections", memory>>10, connections)
	}
	if len(files) > 2*connections+64 {
		t.Errorf("%d descriptors", len(files))
	}
	for _, c := range all {
		c.Close()
	}
	testenv.Eventually(t, "all have ended", func() bool { return r.count().Active == 0 })
	testenv.Eventually(t, "no descriptor is left", func() bool {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		return err == nil && len(files) < 64
	})
}

// exchange sends lines, each after the answer to the one before.
func exchange(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	begin := time.Now()
	c.SetDeadline(begin.Add(time.Minute))
	for range n {
		io.WriteString(c, "keep\n")
		if _, err := io.ReadFull(c, make([]byte, len("gateway: keep\n"))); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin)
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	text := testenv.Status(t, fmt.Sprintf("/proc/%d/status", pid))["VmRSS"]
	kib, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
	testenv.Must(t, err)
	return kib << 10
}

// Scenario C12. TestAgentFloods checks that an agent that holds as many connections as it
// gets, and asks for more all the time, does not keep the operator out.
func TestAgentFloods(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	var flood []*process
	for range 3 {
		flood = append(flood, r.run(agentUID, "flood", published.String()))
	}
	testenv.Eventually(t, "the agent has its bound", func() bool { return r.count().Refused[relaycount.LocalLimit] > 1000 })
	var took []time.Duration
	for i := range 100 {
		begin := time.Now()
		if got := r.ask(fmt.Sprintf("token-%d", i)); got != served {
			t.Fatalf("client %d saw %v", i, got)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	c := r.count()
	t.Logf("median %v, longest %v; %+v", took[50], took[99], c)
	if c.Active > 1100 {
		t.Errorf("%d clients at a time", c.Active)
	}
	for _, p := range flood {
		p.kill()
	}
}

// Scenario C08. TestConfined checks what the kernel says about the relay's process.
func TestConfined(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	if got := r.ask("token"); got != served {
		t.Fatalf("the client saw %v", got)
	}
	pid := r.relay.Cmd.Process.Pid
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	testenv.Must(t, err)
	for _, task := range tasks {
		got := testenv.Status(t, task)
		for key, want := range map[string]string{
			"Uid": "2004 2004 2004 2004", "Gid": "2004 2004 2004 2004", "NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
		} {
			if got[key] != want {
				t.Errorf("%s: %s is %q", task, key, got[key])
			}
		}
	}
	// Another process of its user can neither read nor trace it.
	reader := r.run(relayUID, "reader", fmt.Sprint(pid))
	testenv.Eventually(t, "both answers", func() bool { return len(reader.all("")) == 2 })
	if lines := reader.all(""); !slices.Contains(lines, "environ: permission denied") || !slices.Contains(lines, "trace: operation not permitted") {
		t.Errorf("another process of the relay's user: %q", lines)
	}
}
