// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HostPID returns the host's pid of PID 1.
func (c *Container) HostPID() int {
	c.t.Helper()
	pid, err := c.hostPID()
	if err != nil {
		c.t.Fatalf("cannot find PID 1 on the host: %v", err)
	}
	return pid
}

// HostPIDOf returns the host's pid of the container's process pid.
func (c *Container) HostPIDOf(pid int) int {
	c.t.Helper()
	for _, p := range c.Processes() {
		if p.PID == pid {
			return p.HostPID
		}
	}
	c.t.Fatalf("no process %d in the container: %v", pid, c.Processes())
	return 0
}

// GatewayHostPID returns the host's pid of the gateway in the status.
func (c *Container) GatewayHostPID() int {
	c.t.Helper()
	return c.HostPIDOf(c.Status().Gateway.PID)
}

// Process is a process of the container, as the host sees it.
type Process struct {
	PID, HostPID int
	HostParent   int
	UID          int // effective
	State        string
	Comm         string // as in /proc/PID/status, escaped
}

// Processes returns all processes in the container's PID namespace, including
// zombies and docker exec. A process that exits meanwhile is left out.
func (c *Container) Processes() []Process {
	c.t.Helper()
	want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.HostPID()))
	if err != nil {
		c.t.Fatal(err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		c.t.Fatal(err)
	}
	var all []Process
	for _, dir := range dirs {
		if p, ok := processAt(dir, want); ok {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all
}

// processAt reads one process. A zombie has no namespace link any more. It is
// identified by its parent, so it counts if its NSpid has more entries than the
// host's pid.
func processAt(dir, namespace string) (Process, bool) {
	link, errLink := os.Readlink(dir + "/ns/pid")
	if errLink == nil && link != namespace {
		return Process{}, false // like nearly all of the host's processes, so the rest need not be read
	}
	fields, err := StatusFields(dir + "/status")
	if err != nil {
		return Process{}, false
	}
	if errLink != nil {
		parent, _ := os.Readlink("/proc/" + fields["PPid"] + "/ns/pid")
		link = parent
	}
	numbers, uids := strings.Fields(fields["NSpid"]), strings.Fields(fields["Uid"])
	if link != namespace || len(numbers) < 2 || len(uids) < 2 {
		return Process{}, false
	}
	p := Process{Comm: fields["Name"], State: fields["State"]}
	p.HostPID, _ = strconv.Atoi(numbers[0])
	p.HostParent, _ = strconv.Atoi(fields["PPid"])
	p.PID, _ = strconv.Atoi(numbers[len(numbers)-1])
	p.UID, _ = strconv.Atoi(uids[1])
	return p, true
}

// StatusFields returns the fields of /proc/PID/status (or of a task) by name.
func StatusFields(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields, nil
}

// HostPath returns the host's path of a file of the container.
func (c *Container) HostPath(path string) string {
	c.t.Helper()
	return fmt.Sprintf("/proc/%d/root%s", c.HostPID(), path)
}

// FileText returns the content of a file of the container, "" if it does not exist.
func (c *Container) FileText(path string) string {
	c.t.Helper()
	data, err := os.ReadFile(c.HostPath(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return string(data)
}

// Token returns the token in force. Root of the host reads it without any of our
// programs, from the first runtime directory that has one.
func (c *Container) Token() string {
	c.t.Helper()
	var errs []error
	for _, dir := range runtimeDirs(c.t) {
		data, err := os.ReadFile(c.HostPath(dir + "/gateway-token"))
		if err == nil {
			return string(data)
		}
		errs = append(errs, err)
	}
	c.t.Fatalf("cannot read the token: %v", errors.Join(errs...))
	return ""
}

// Response is an answer of the gateway. If there is none, Err is the reason.
type Response struct {
	Code int
	Body string
	Err  error
}

// HTTP sends a request to the gateway, from the test's process on the container's
// loopback. An empty token is not sent.
func (c *Container) HTTP(method, path, token, body string) Response {
	c.t.Helper()
	return c.HTTPOn(Port, method, path, token, body)
}

// HTTPOn is HTTP for another port.
func (c *Container) HTTPOn(port int, method, path, token, body string) Response {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	pid, err := c.hostPID()
	if err != nil {
		return Response{Err: err}
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return DialIn(ctx, pid, network, addr)
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return Response{Err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return Response{resp.StatusCode, string(data), err}
}

// DialIn connects in the network namespace of a process. The thread that enters it
// is not reused. It exits with its goroutine.
func DialIn(ctx context.Context, pid int, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		conn, err := dialHere(ctx, pid, network, addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func dialHere(ctx context.Context, pid int, network, addr string) (net.Conn, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot open network namespace: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot enter network namespace: %w", os.NewSyscallError("setns", err))
	}
	// A numeric address is dialed in this goroutine, so on this thread.
	return new(net.Dialer).DialContext(ctx, network, addr)
}
