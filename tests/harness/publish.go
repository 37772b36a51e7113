// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// EngineVariable is the environment variable that has the pid of a private daemon
// (tests/engine/run). Ports are published in its network namespace, and on the
// host without it.
const EngineVariable = "ENGINE_PID"

// Publish are the flags that publish a port of the container. The engine chooses
// the host's, so containers side by side do not meet; see Published.
func Publish(port int) []string { return []string{"-p", fmt.Sprintf("127.0.0.1::%d", port)} }

// Published is where a port of the container is published: an address of the
// daemon's network namespace.
func (c *Container) Published(port int) string {
	c.t.Helper()
	out := c.must("port", c.Name, fmt.Sprintf("%d/tcp", port))
	for address := range strings.Lines(out) {
		address = strings.TrimSpace(address)
		if host, _, err := net.SplitHostPort(address); err == nil && host == "127.0.0.1" {
			return address
		}
	}
	c.t.Fatalf("port %d is not published at 127.0.0.1: %q", port, out)
	return ""
}

// DialPublished connects to a published address, from where a user of the engine
// would.
func DialPublished(ctx context.Context, network, address string) (net.Conn, error) {
	if text := os.Getenv(EngineVariable); text != "" {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%s=%s is no pid", EngineVariable, text)
		}
		return dialIn(ctx, pid, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// GetPublished is a GET request to a published port.
func (c *Container) GetPublished(port int, path string) Response {
	c.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: DialPublished}}
	resp, err := client.Get("http://" + c.Published(port) + path)
	if err != nil {
		return Response{Err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return Response{resp.StatusCode, string(data), err}
}
