// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// execConfig is the body of POST /containers/NAME/exec.
type execConfig struct {
	AttachStdin, AttachStdout, AttachStderr bool
	User                                    string   `json:",omitempty"`
	WorkingDir                              string   `json:",omitempty"`
	Env                                     []string `json:",omitempty"`
	Cmd                                     []string
	detach                                  bool
}

// execFlags parses flags of docker exec. If it does not know a flag, the command
// line has to run the command.
func execFlags(flags, command []string) (execConfig, bool) {
	c := execConfig{AttachStdout: true, AttachStderr: true, Cmd: command}
	for i := 0; i < len(flags); i++ {
		switch flags[i] {
		case "-i":
			c.AttachStdin = true
			continue
		case "-d":
			c.detach = true
			continue
		}
		if i+1 == len(flags) {
			return c, false
		}
		value := flags[i+1]
		switch flags[i] {
		case "-u":
			c.User = value
		case "-w":
			c.WorkingDir = value
		case "-e":
			if !strings.Contains(value, "=") {
				return c, false
			}
			c.Env = append(c.Env, value)
		default:
			return c, false
		}
		i++
	}
	if c.detach {
		c.AttachStdin, c.AttachStdout, c.AttachStderr = false, false, false
	}
	return c, true
}

// codeNotStarted is the exit code if the engine does not start a command
// (docker-exec(1)).
const codeNotStarted = 126

// exec does docker exec, with its exit codes.
func (a *api) exec(ctx context.Context, name string, c execConfig, stdin []byte) (Result, error) {
	var made struct{ ID string }
	resp, err := a.do(ctx, http.MethodPost, "/containers/"+name+"/exec", c)
	if err == nil {
		err = json.NewDecoder(resp.Body).Decode(&made)
		resp.Body.Close()
	}
	if r := (refused{}); errors.As(err, &r) {
		return Result{Code: 1, Stderr: r.Error() + "\n"}, nil
	}
	if err != nil {
		return Result{}, err
	}
	var stdout, stderr bytes.Buffer
	err = a.startExec(ctx, made.ID, c, stdin, &stdout, &stderr)
	if r := (refused{}); errors.As(err, &r) {
		return Result{codeNotStarted, stdout.String(), stderr.String() + r.Error() + "\n"}, nil
	}
	if err != nil || c.detach {
		return Result{0, stdout.String(), stderr.String()}, err
	}
	code, err := a.execCode(ctx, made.ID)
	return Result{code, stdout.String(), stderr.String()}, err
}

// startExec runs a command until it has closed its streams.
func (a *api) startExec(ctx context.Context, id string, c execConfig, stdin []byte, stdout, stderr io.Writer) error {
	path := "/exec/" + id + "/start"
	if c.detach {
		resp, err := a.do(ctx, http.MethodPost, path, map[string]bool{"Detach": true})
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	const body = `{"Detach":false,"Tty":false}`
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	if err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return refusal(resp)
	}
	if c.AttachStdin {
		// This runs beside the reading. A command may write before it has read
		// everything.
		go func() {
			conn.Write(stdin) // it may exit before it has read everything
			conn.(*net.UnixConn).CloseWrite()
		}()
	}
	return demultiplex(in, stdout, stderr)
}

// execCode returns the exit code, once the daemon has it.
func (a *api) execCode(ctx context.Context, id string) (int, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var state struct {
			Running  bool
			ExitCode *int
		}
		if err := a.get(ctx, "/exec/"+id+"/json", &state); err != nil {
			return 0, err
		}
		if !state.Running && state.ExitCode != nil {
			return *state.ExitCode, nil
		}
		<-tick.C // the context ends get
	}
}

// demultiplex copies a stream of the daemon. A frame is the number of the stream,
// three zeros, the length in four bytes, and the bytes.
func demultiplex(in io.Reader, stdout, stderr io.Writer) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		out := stdout
		if head[0] == 2 {
			out = stderr
		}
		if _, err := io.CopyN(out, in, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}
