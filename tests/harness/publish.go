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
	"testing"
	"time"
)

// EngineVariable is the environment variable with the pid of a private daemon
// (tests/engine/run). Ports are published in its network namespace. Without the
// variable they are published on the host.
const EngineVariable = "ENGINE_PID"

// Publish returns the flags that publish a port of the container. The engine
// chooses the host's port, so parallel containers do not collide. Published returns
// it.
func Publish(port int) []string { return []string{"-p", fmt.Sprintf("127.0.0.1::%d", port)} }

// Published returns where a port of the container is published, as an address in
// the daemon's network namespace.
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

// EnginePID returns a process in whose network namespace ports are published, 0 if
// it is the namespace of the test.
func EnginePID(t testing.TB) int {
	t.Helper()
	pid, err := enginePID()
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func enginePID() (int, error) {
	text := os.Getenv(EngineVariable)
	if text == "" {
		return 0, nil
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is no pid", EngineVariable, text)
	}
	return pid, nil
}

// DialPublished connects to a published address, as a user of the engine would.
func DialPublished(ctx context.Context, network, address string) (net.Conn, error) {
	pid, err := enginePID()
	switch {
	case err != nil:
		return nil, err
	case pid != 0:
		return DialIn(ctx, pid, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// GetPublished sends a GET request to a published port.
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
