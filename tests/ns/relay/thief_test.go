// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Source ports of the namespace in TestSimultaneousOpen, all of which the agent watches.
const firstPort, sourcePorts = 20000, 512

// Invariant I9. TestSimultaneousOpen checks that no byte reaches an agent that bound the
// gateway's port before the gateway, without listening, and waits there for the relay's
// connections. The proof must look at each connection by its own addresses for that.
func TestSimultaneousOpen(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	testenv.Must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", fmt.Appendf(nil, "%d %d", firstPort, firstPort+sourcePorts-1), 0))
	r.start()
	agent := r.run(agentUID, "opener", gatewayAddr.String(), fmt.Sprint(firstPort), fmt.Sprint(sourcePorts))
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	testenv.Eventually(t, "the agent waits", func() bool { return agent.last("joined") != "" })
	n := rounds(t, 3000, 50000)
	var got [wrong + 1]int
	for i := range n {
		got[r.ask(fmt.Sprintf("token-%d", i))]++
	}
	c := r.count()
	joined := 0
	testenv.Eventually(t, "the agent has counted", func() bool {
		fmt.Sscanf(agent.last("joined"), "joined %d", &joined)
		return joined > 0
	})
	t.Logf("%d clients: %d served, %d reset; the agent was joined to %d connections; %+v", n, got[served], got[refused], joined, c)
	if heard := agent.all("heard"); len(heard) > 0 {
		t.Errorf("the agent read %d times, first %s", len(heard), heard[0])
	}
	if uid, ok := c.ForeignUID(); !ok || uid != agentUID {
		t.Errorf("found uid %d, %v", uid, ok)
	}
	if got[served] < n*9/10 {
		t.Errorf("%d of %d clients were served", got[served], n)
	}
}

// Invariant I9. TestAgentListensWheneverFree checks that no byte flows in either
// direction while the agent listens on the gateway's port whenever it is free, over
// restarts of the gateway.
func TestAgentListensWheneverFree(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	agent := r.run(agentUID, "thief", gatewayAddr.String())
	stop := make(chan bool)
	results := make(chan [wrong + 1]int)
	go func() {
		var got [wrong + 1]int
		for i := 0; ; i++ {
			select {
			case <-stop:
				results <- got
				return
			default:
				got[r.ask(fmt.Sprintf("token-%d", i))]++
			}
		}
	}()
	n := rounds(t, 10, 50)
	for i := range n {
		gateway := r.run(gatewayUID, "gateway", gatewayAddr.String())
		if i%2 == 0 {
			r.serve(gateway)
		} else {
			r.serveBlind() // so that the relay connects to what comes after the gateway
		}
		before := r.count().Served
		testenv.Eventually(t, "it serves", func() bool { return r.count().Served > before+10 })
		// PID 1 hears of the end only later, as on a busy machine.
		taken := len(agent.all("took"))
		gateway.kill()
		testenv.Eventually(t, "the agent takes the port", func() bool { return len(agent.all("took")) > taken })
		if i%2 == 1 {
			foreign := r.count().Refused[relaycount.Foreign]
			testenv.Eventually(t, "a client was connected to it", func() bool { return r.count().Refused[relaycount.Foreign] > foreign })
		}
		testenv.Must(t, r.relay.Link.SendNone(r.generation))
	}
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	close(stop)
	got := <-results
	t.Logf("%d restarts: %d served, %d reset, %d cut; %+v", n, got[served], got[refused], got[cut], r.count())
	if heard := agent.all("heard"); len(heard) > 0 {
		t.Errorf("the agent read %d times, first %s", len(heard), heard[0])
	}
}

// Invariant I9. TestGatewayLeavesItsListener checks that nothing flows to a child of a
// killed gateway, which has the same listener and uid.
func TestGatewayLeavesItsListener(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	gateway := r.run(gatewayUID, "holder", gatewayAddr.String())
	r.serve(gateway)
	gateway.kill()
	waits := make(chan outcome)
	go func() { waits <- r.ask("token") }()
	testenv.Eventually(t, "the client waits", func() bool { return r.count().Active == 1 })
	time.Sleep(100 * time.Millisecond)
	if c := r.count(); c.Served != 0 || c.Active != 1 || c.Refused != (relaycount.Counters{}).Refused {
		t.Errorf("%+v", c)
	}
	r.relay.Link.Close()
	if got := <-waits; got != refused {
		t.Errorf("the client saw %v", got)
	}
}
