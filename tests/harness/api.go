// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

// api calls the daemon as its command line does, without starting that program,
// which takes 70 ms of processor time for each call. The command line runs, stops
// and kills containers, as users do. The API serves queries and exec.
type api struct {
	socket string
	http   *http.Client
}

// dialAPI returns the daemon's API. It returns nil if only the command line will
// do: for another engine, or a daemon that is not at a Unix socket.
var dialAPI = sync.OnceValue(func() *api {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok || engine() != "docker" {
		return nil
	}
	a := &api{socket: socket}
	a.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx) },
	}}
	return a
})

func (a *api) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", a.socket)
}

// do makes one request. If the answer is no success, the error is the daemon's
// message.
func (a *api) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// refused is the daemon's message about a refused request.
type refused struct{ message string }

func (r refused) Error() string { return "Error response from daemon: " + r.message }

func refusal(resp *http.Response) error {
	var said struct{ Message string }
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(data, &said) != nil || said.Message == "" {
		said.Message = resp.Status + " " + string(data)
	}
	return refused{said.Message}
}

// get decodes the daemon's answer for path into v.
func (a *api) get(ctx context.Context, path string, v any) error {
	resp, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// call makes a request whose answer has no content.
func (a *api) call(ctx context.Context, method, path string) error {
	resp, err := a.do(ctx, method, path, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// logs returns the output of a container without a terminal, stdout before stderr.
func (a *api) logs(ctx context.Context, name string) (string, error) {
	resp, err := a.do(ctx, http.MethodGet, "/containers/"+name+"/logs?stdout=1&stderr=1", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var stdout, stderr bytes.Buffer
	err = demultiplex(resp.Body, &stdout, &stderr)
	return stdout.String() + stderr.String(), err
}
