// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/sockets"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// me is the gateway's uid in these tests, and stranger that of another user.
var me = uint32(os.Geteuid())

const stranger = 54321

// bound is a deadline that no passing run comes near.
const bound = 20 * time.Second

// secret stands for a token.
const secret = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"

// ways are both ways to ask. gVisor and old seccomp profiles force the second.
var ways = map[string]struct {
	list  func(port uint16) ([]sockets.Listener, error)
	owner func(local, remote netip.AddrPort) (uint32, error)
}{
	"sock-diag":    {sockets.Listeners, sockets.Owner},
	"proc-net-tcp": {sockets.ListenersByProc, sockets.OwnerByProc},
}

type (
	server = testenv.Server
	client = testenv.Client
)

func serve(t *testing.T, network, host string, uid uint32, handle func(c *client, n int)) *server {
	t.Helper()
	return testenv.Serve(t, network, host, uid, handle)
}

// answer returns a whole answer that keeps the connection.
func answer(status, body string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// good serves as a gateway does, which is ready and takes the one right token.
func good(c *client, _ int) {
	for r := c.Request(); r != ""; r = c.Request() {
		c.Say(goodAnswer(r))
	}
}

func goodAnswer(request string) string {
	switch {
	case strings.HasPrefix(request, "GET /readyz "):
		return answer("200 OK", `{"ready":true}`)
	case strings.Contains(request, "\r\nAuthorization: Bearer "+secret+"\r\n"):
		return answer("404 Not Found", `{}`)
	}
	return answer("401 Unauthorized", `{}`)
}

// job returns a proof of the server at port.
func job(port uint16) Job {
	return Job{
		Mode: Prove, Port: port, UID: me, Deadline: bound,
		Check: config.Probe{Path: "/readyz", Status: []int{200}, JSON: []config.Expect{{Key: "ready", Value: "true"}}},
		Auth: &config.AuthCheck{Method: "POST", Path: "/tools/invoke", Body: `{"tool":"nosuch"}`,
			WithToken: []int{404}, WithoutToken: []int{401}},
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
