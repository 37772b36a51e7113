// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPublish checks that a published port is reachable where the engine publishes
// it. A gateway that listens on the container's loopback alone is not reachable.
func TestPublish(t *testing.T) {
	const inside = 8080
	c := Start(t, Options{Extra: append(Publish(inside), Publish(Port)...),
		Command: []string{"demotools", "hold-port", "-http", fmt.Sprintf("0.0.0.0:%d", inside)}})
	c.WaitServing(20 * time.Second)
	Eventually(t, 20*time.Second, "an answer from "+c.Published(inside), func() error {
		if r := c.GetPublished(inside, "/health"); r.Code != 200 {
			return errors.Join(fmt.Errorf("got %d", r.Code), r.Err)
		}
		return nil
	})
	if c.Published(inside) == c.Published(Port) {
		t.Errorf("two ports are at %s", c.Published(Port))
	}
	if r := c.GetPublished(Port, "/health"); r.Err == nil {
		t.Errorf("the gateway's port answers %d %q, and it listens on loopback", r.Code, strings.TrimSpace(r.Body))
	}
}
