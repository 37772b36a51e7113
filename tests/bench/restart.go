// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/supervisor/control"
)

// send writes a request to PID 1's FIFO. It returns the nonce and the time.
func (x *box) send(action control.Action) (nonce string, sent int64, err error) {
	var random [control.NonceLen / 2]byte
	rand.Read(random[:]) // never fails
	r := control.Request{Nonce: hex.EncodeToString(random[:]), Action: action}
	frame, err := control.Encode(r)
	if err != nil {
		return "", 0, err
	}
	sent = now()
	_, err = x.fifo.Write(frame)
	return r.Nonce, sent, err
}

// reply waits for the final reply to a request, which must be that it was done. It
// returns the time.
func (x *box) reply(nonce string) (int64, error) {
	if err := x.replies.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	events := make([]byte, 4096)
	for {
		n, err := x.replies.Read(events)
		if err != nil {
			return 0, fmt.Errorf("no reply: %w", err)
		}
		seen := now()
		if !bytes.Contains(events[:n], []byte(nonce)) {
			continue
		}
		data, err := os.ReadFile(x.path(control.Dir + "/" + control.Replies + "/" + nonce))
		if err != nil {
			return 0, err
		}
		reply, err := control.ParseReply(string(data))
		switch {
		case err != nil:
			return 0, err
		case !reply.Final():
		case reply.Outcome != control.OK:
			return 0, fmt.Errorf("the request failed: %s", bytes.TrimSpace(data))
		default:
			return seen, nil
		}
	}
}

// restart restarts the gateway. It returns the time until the new one was executed,
// and the time until the final reply.
func (x *box) restart() (executed, replied int64, err error) {
	nonce, sent, err := x.send(control.Restart)
	if err != nil {
		return 0, 0, err
	}
	at, err := x.record()
	if err != nil {
		return 0, 0, err
	}
	seen, err := x.reply(nonce)
	return at - sent, seen - sent, err
}

// ownTime returns the gateway's own part of a restart: from its SIGTERM to its
// exit, and from its exec until it listens. It runs beside the box's gateway,
// alone.
func (x *box) ownTime() (took int64, err error) {
	const port = 18790
	x.inside.do(func() {
		null, openErr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err = openErr; err != nil {
			return
		}
		defer null.Close()
		pid, startErr := syscall.ForkExec(boxDir+"/demogateway", []string{"demogateway", "--listen", fmt.Sprintf("127.0.0.1:%d", port)},
			&syscall.ProcAttr{Dir: "/", Env: []string{"OPENCLAW_GATEWAY_TOKEN=x"}, Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}})
		if err = startErr; err != nil {
			return
		}
		began := now() // ForkExec returns after the exec
		for err = errors.New("not yet"); err != nil && now() < began+int64(patience); {
			if err = connect(port); err != nil {
				time.Sleep(50 * time.Microsecond)
			}
		}
		took = now() - began
		ending := now()
		unix.Kill(pid, unix.SIGTERM)
		for again := syscall.EINTR; again == syscall.EINTR; {
			_, waitErr := syscall.Wait4(pid, nil, 0, nil)
			again, _ = waitErr.(syscall.Errno)
		}
		took += now() - ending
	})
	return took, err
}

// connect makes one attempt, from the calling thread's network namespace.
func connect(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}
