// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Scenario C14. TestDeadRelay checks that clients that come while no relay lives are
// served by the next one, and that meanwhile no other user can bind the port.
func TestDeadRelay(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	gateway := r.run(gatewayUID, "gateway", gatewayAddr.String())
	r.serve(gateway)
	agent := r.run(agentUID, "binder", fmt.Sprint(published.Port()))
	r.relay.Kill()
	const clients = 200
	var wg sync.WaitGroup
	var got [wrong + 1]atomic.Int32
	for i := range clients {
		wg.Go(func() { got[r.ask(fmt.Sprintf("token-%d", i))].Add(1) })
	}
	time.Sleep(time.Duration(rounds(t, 500, 10000)) * time.Millisecond) // the time without a relay is what is tested
	r.again()
	r.tell(gateway)
	wg.Wait()
	if n := got[served].Load(); n != clients {
		t.Errorf("%d of %d clients were served", n, clients)
	}
	// On the port itself; [::1] and other addresses are PID 1's to hold.
	if bound := agent.all("bound 127.0.0.1"); len(bound) > 0 {
		t.Errorf("the agent %s", bound[0])
	}
}

// Scenario C14. TestKilledRelay checks that a relay that is killed again and again under
// load serves each client or resets it. A client never takes the end of the relay for the
// gateway's.
func TestKilledRelay(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	gateway := r.run(gatewayUID, "gateway", gatewayAddr.String())
	r.serve(gateway)
	stop := make(chan bool)
	var wg sync.WaitGroup
	var got [wrong + 1]atomic.Int32
	for worker := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					got[r.ask(fmt.Sprintf("token-%d-%d", worker, i))].Add(1)
				}
			}
		})
	}
	n := rounds(t, 10, 100)
	for range n {
		before := got[served].Load()
		testenv.Eventually(t, "clients are served", func() bool { return got[served].Load() > before+20 })
		r.relay.Kill()
		r.again()
		r.tell(gateway)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d kills: %d served, %d reset", n, got[served].Load(), got[refused].Load())
	if got[cut].Load() > 0 {
		t.Errorf("%d clients saw an ordinary end", got[cut].Load())
	}
}

// Scenario C14. TestKilledRelayIsNoCleanEnd checks what the two ends of a connection see
// of a relay that is killed.
func TestKilledRelayIsNoCleanEnd(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	c, err := net.Dial("tcp4", published.String())
	testenv.Must(t, err)
	defer c.Close()
	io.WriteString(c, "keep\n")
	if _, err := io.ReadFull(c, make([]byte, len("gateway: keep\n"))); err != nil {
		t.Fatal(err)
	}
	r.relay.Kill()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read %d, %v", n, err)
	}
}

// TestRelayEnds checks that the relay ends with its channel, and by SIGTERM.
func TestRelayEnds(t *testing.T) {
	r := inside(t)
	if r == nil {
		return
	}
	r.start()
	testenv.Must(t, r.relay.Link.Close())
	if err := r.relay.Cmd.Wait(); err != nil {
		t.Errorf("after the channel: %v", err)
	}
	r.again()
	r.serve(r.run(gatewayUID, "gateway", gatewayAddr.String()))
	if got := r.ask("token"); got != served {
		t.Errorf("the client saw %v", got)
	}
	testenv.Must(t, r.relay.Cmd.Process.Signal(unix.SIGTERM))
	if err := r.relay.Cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	r.again() // which Cleanup ends
}
