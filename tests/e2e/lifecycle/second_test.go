// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// A second gateway-init in the first one's runtime directory, for instance by a docker
// exec, ends before it changes anything. Token, requests and the next start still
// belong to the first.
func TestSecondSupervisor(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	first := c.WaitServing(serveBy)
	token := c.Token()
	for _, args := range [][]string{{"gateway-init"}, {"gateway-init", "--", "demotools", "sleep", "600"}} {
		if r := c.Exec("", args...); r.Code != 1 || !strings.Contains(r.Stderr, "another gateway-init runs in "+first.RuntimeDir) {
			t.Errorf("%v: %v", args, r)
		}
	}
	if now := c.Status(); now.Gateway.Process != first.Gateway.Process || now.Init != first.Init || c.Token() != token {
		t.Errorf("it was %+v and is %+v", first, now)
	}
	c.MustCtl("restart")
	if c.Token() != token {
		t.Error("the token is another one")
	}
}
