// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/tests/harness"
)

const (
	thiefFile   = "/tmp/stolen"
	clientAgent = "demo-client"
	endBy       = 10 * time.Second       // bound from the signal to the end of a gateway
	disturbRest = 300 * time.Millisecond // longest time from serving to the next disturbance
)

// thiefTime returns how long the thief runs: THIEF_SECONDS, or a minute.
func thiefTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("THIEF_SECONDS")
	if text == "" {
		return time.Minute
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("THIEF_SECONDS=%s is not a number of seconds", text)
	}
	return time.Duration(n) * time.Second
}

// robbed is a container with a thief, and with clients and sidecars that connect
// repeatedly.
type robbed struct {
	*harness.Container
	until time.Time
	thief []string // the thief's command
}

// ownPort is the gateway's own port beside a published one. It is fixed, so that the thief
// need not search it.
const ownPort = 18700

// startRobbed starts a container whose gateway listens on the clients' port, or on its own
// port behind a published one.
func startRobbed(t *testing.T, published bool, d time.Duration) *robbed {
	t.Helper()
	sidecar := func(name, client string) map[string]any {
		return map[string]any{"name": name, "command": []string{"/usr/local/bin/demotools", client, "0"}, "user": "operator", "token_env": "OPENCLAW_GATEWAY_TOKEN"}
	}
	thief, listen := []string{"demotools", "robber", strconv.Itoa(harness.Port), thiefFile}, map[string]any{"port": harness.Port}
	if published {
		thief, listen["port"], listen["port_env"] = []string{"demotools", "robber", strconv.Itoa(ownPort), thiefFile, "127.0.0.1", "::1"}, ownPort, "DEMO_PORT"
	}
	c := start(t, harness.Options{
		Published: published,
		Extra:     append(harness.IPv6(), "--memory", "384m", "--memory-swap", "384m"), // for [::1], which the robber takes too
		Misbehave: map[string]any{"note_lives": true, "exhaust_on_hup": true},
		Config: map[string]any{
			"gateway": map[string]any{
				"listen":  listen,
				"restart": map[string]any{"backoff_min": "10ms", "backoff_max": "100ms", "reset_after": "1s"},
				"health":  map[string]any{"interval": "1s"},
			},
			"sidecars": []any{sidecar("http", "poll-http"), sidecar("ws", "poll-ws")},
			"clients":  map[string]any{"tui": []string{"/usr/local/bin/demotools", "poll-ws", "5"}},
		},
	})
	r := &robbed{c, time.Now().Add(d), thief}
	r.steal()
	return r
}

// steal starts the thief if it does not run. The kernel kills a gateway that has
// used up the container's memory. Until that memory is free, the kernel can kill a
// second process, which is sometimes the thief.
func (r *robbed) steal() {
	for _, p := range r.Processes() {
		if p.UID == harness.SandboxUID && p.Comm == "demotools" {
			return
		}
	}
	r.ExecDetached("sandbox", r.thief...)
}

// disturb ends the gateway in each way in turn, after it has served.
func (r *robbed) disturb() (ends map[string]int) {
	ends = map[string]int{}
	ways := []string{"kill", "exit", "memory", "restart", "rotate", "drain"}
	for i := 0; time.Now().Before(r.until); i++ {
		r.steal()
		if r.Ctl("wait", "--timeout", "5s").Code != 0 {
			continue // the thief has the port
		}
		time.Sleep(rand.N(disturbRest))
		way := ways[i%len(ways)]
		switch way {
		case "restart":
			r.Ctl("restart")
		case "rotate":
			r.Ctl("restart", "--rotate-token")
		case "drain":
			r.Ctl("restart", "--drain", "1s")
		default:
			r.end(map[string]syscall.Signal{"kill": syscall.SIGKILL, "exit": syscall.SIGTERM, "memory": syscall.SIGHUP}[way])
		}
		ends[way]++
	}
	return ends
}

// end sends a signal to the gateway and waits for its end.
func (r *robbed) end(sig syscall.Signal) {
	for _, p := range r.Processes() {
		if p.UID != harness.GatewayUID || p.Comm != "demogateway" || syscall.Kill(p.HostPID, sig) != nil {
			continue // no gateway, or it has exited
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(endBy); syscall.Kill(p.HostPID, 0) == nil && time.Now().Before(end); {
			<-tick.C
		}
	}
}

// connect calls gatewayctl exec and tui in a loop.
func (r *robbed) connect() (calls int) {
	for ; time.Now().Before(r.until); calls++ {
		if calls%2 == 0 {
			r.Ctl("exec", "--", "/usr/local/bin/demotools", "poll-http", "5")
		} else {
			r.Ctl("tui")
		}
	}
	return calls
}

func (r *robbed) lives(t *testing.T) (all []life) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.StateDir(), "lives"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var l life
		var pid int
		if _, err := fmt.Sscan(line, &l.at, &pid, &l.token); err != nil {
			t.Fatalf("a bad line in lives: %v", err)
		}
		all = append(all, l)
	}
	return all
}

func (r *robbed) loot(t *testing.T) (all []heard) {
	t.Helper()
	f, err := os.Open(r.HostPath(thiefFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var h heard
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			t.Fatalf("a bad line of the thief: %v", err)
		}
		if h.What == "full" {
			t.Fatal("the thief's file is full: this run was too long for it")
		}
		all = append(all, h)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestThief lets a thief of the agent's user take the port whenever it is free.
// Meanwhile the gateway is ended in every way, and clients and sidecars with the
// token connect all the time. The thief gets no token from the proof worker, and no
// token that a later gateway accepts.
func TestThief(t *testing.T) {
	r := startRobbed(t, false, thiefTime(t)/2)
	r.run(t)
	r.recorded(t)
	lives, v := r.result(t)
	if v.fromWorker != 0 || v.later != 0 {
		t.Errorf("the agent's user has a token: %d lines from the proof worker, %d from clients with a token that a later gateway took", v.fromWorker, v.later)
	}
	if v.takes < len(lives)/4 || v.requests == 0 {
		t.Errorf("the thief had the port %d times in %d lives and heard %d requests: it was too slow", v.takes, len(lives), v.requests)
	}
	if n := r.oomKills(t); n == 0 {
		t.Error("the kernel ended no gateway for its memory")
	}
}

// Invariant I9. TestThiefOfAPublishedPort lets the thief take the gateway's own port, in
// both families and by simultaneous open, behind a published port. It hears nothing at all:
// no token, no request of a client, and no request of the proof worker. TestThief is the
// positive control.
func TestThiefOfAPublishedPort(t *testing.T) {
	r := startRobbed(t, true, thiefTime(t))
	r.run(t)
	lives, v := r.result(t)
	if v.requests != 0 || v.frames != 0 || v.fromWorker+v.later+v.dead != 0 {
		t.Errorf("the agent's user has heard something: %+v", v)
	}
	if v.takes < len(lives)/8 {
		t.Errorf("the thief had the port %d times in %d lives: it was too slow", v.takes, len(lives))
	}
	f, err := os.Open(r.HostPath("/run/gateway-init/" + relaycount.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count, err := relaycount.Read(f)
	if t.Logf("the relay: %+v", count); err != nil || count.Served < 100 {
		t.Errorf("%d clients were served, %v", count.Served, err)
	}
}

// run disturbs the gateway, while clients connect, until the time is over.
func (r *robbed) run(t *testing.T) {
	t.Helper()
	var ends map[string]int
	calls := 0
	var both sync.WaitGroup
	both.Go(func() { ends = r.disturb() })
	both.Go(func() { calls = r.connect() })
	both.Wait()
	t.Logf("ended %v, %d calls of exec and tui", ends, calls)
}

// result judges what the thief has heard.
func (r *robbed) result(t *testing.T) ([]life, verdict) {
	t.Helper()
	lives := r.lives(t)
	v := judge(t, lives, r.loot(t))
	t.Logf("%d gateways with %d tokens; the thief: %+v", len(lives), v.tokens, v)
	return lives, v
}

// oomKills returns how many processes of the container the kernel has killed for
// their memory. It reads the control groups of either version.
func (r *robbed) oomKills(t *testing.T) int {
	t.Helper()
	for _, name := range []string{"memory/memory.oom_control", "memory.events"} {
		fields, err := os.ReadFile(r.HostPath("/sys/fs/cgroup/" + name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(fields)) {
			if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatal("cannot find the count of processes that were ended for their memory")
	return 0
}

// recorded sends a false token by both clients to the thief, which must record it.
func (r *robbed) recorded(t *testing.T) {
	t.Helper()
	r.MustCtl("stop")
	r.steal()
	canary := strings.Repeat("d4", 32)
	set := harness.TokenSet(t, canary)
	for what, client := range map[string]string{"http": "poll-http", "frame": "poll-ws"} {
		harness.Eventually(t, boot, "the thief to hear "+client, func() error {
			flags := []string{"-e", "OPENCLAW_GATEWAY_TOKEN=" + canary}
			// The client runs longer than the thief pauses.
			if out := r.ExecFlags(flags, "operator", nil, "demotools", client, "5"); out.Code != 0 {
				return fmt.Errorf("%v", out)
			}
			for _, h := range r.loot(t) {
				if h.What == what && h.Agent == clientAgent && set.Find(h.Bytes) >= 0 {
					return nil
				}
			}
			return fmt.Errorf("nothing heard in %d lines; there are %v", len(r.loot(t)), r.Processes())
		})
	}
}
