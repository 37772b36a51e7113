// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.IPv6Main(m)) }

// TestWorkWithoutIPv6 checks that a gateway on [::] is reached by IPv4 in a container
// without IPv6, although [::1] is tried first.
func TestWorkWithoutIPv6(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNET) {
		return
	}
	testenv.WithoutIPv6(t)
	for name, c := range map[string]struct{ network, host string }{
		"dual-stack": {"tcp", "[::]:0"}, "v4-loopback": {"tcp4", "127.0.0.1:0"}, "v4-any": {"tcp4", "0.0.0.0:0"},
	} {
		for way, ask := range ways {
			s := serve(t, c.network, c.host, me, good)
			w := &worker{job: job(s.Port()), listeners: ask.list, ownerOf: ask.owner}
			if got := w.work([]byte(secret)); got != OK {
				t.Errorf("%s, %s: got %v", name, way, got)
			}
		}
	}
}
