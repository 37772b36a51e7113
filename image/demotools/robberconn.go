// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// Bounds of one connection.
const (
	robberHead  = 64 << 10 // bytes of a request's head
	robberFrame = 64 << 10 // bytes of a frame
)

// websocketGUID is what RFC 6455 adds to a key before it is hashed.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// rob answers each request of a connection as a gateway that takes any token,
// until the other end or hold closes it. An upgrade is answered, and then each
// frame is written down without its mask.
func (r *robber) rob(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4096)
	for {
		head, err := readHead(in)
		agent := headerOf(head, "user-agent")
		if head != "" {
			r.note(heard{What: "http", Agent: agent, Secret: []byte(head)})
		}
		if err != nil {
			return
		}
		if key := headerOf(head, "sec-websocket-key"); key != "" {
			sum := sha1.Sum([]byte(key + websocketGUID))
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				base64.StdEncoding.EncodeToString(sum[:]))
			r.robFrames(in, agent)
			return
		}
		status, body := "200 OK", `{"ok":true,"ready":true}`
		if strings.Contains(head, " /api/") && headerOf(head, "authorization") == "" {
			status, body = "401 Unauthorized", "{}"
		}
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}

// readHead reads up to an empty line. With an error it returns what there was.
func readHead(in *bufio.Reader) (string, error) {
	var head strings.Builder
	for head.Len() < robberHead {
		line, err := in.ReadSlice('\n')
		head.Write(line)
		if err != nil && err != bufio.ErrBufferFull {
			return head.String(), err
		}
		if text := string(line); text == "\r\n" || text == "\n" {
			return head.String(), nil
		}
	}
	return head.String(), io.ErrShortBuffer
}

// headerOf is a header's first value, or "".
func headerOf(head, name string) string {
	for line := range strings.Lines(head) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *robber) robFrames(in io.Reader, agent string) {
	for {
		payload, err := readFrame(in)
		if err != nil {
			return
		}
		r.note(heard{What: "frame", Agent: agent, Secret: payload})
	}
}

// readFrame reads a frame of RFC 6455 and takes its mask off.
func readFrame(in io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size := uint64(head[1] & 0x7f)
	extended := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
	if _, err := io.ReadFull(in, extended); err != nil {
		return nil, err
	}
	switch len(extended) {
	case 2:
		size = uint64(binary.BigEndian.Uint16(extended))
	case 8:
		size = binary.BigEndian.Uint64(extended)
	}
	if size > robberFrame {
		return nil, io.ErrShortBuffer
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(in, mask[:]); err != nil {
			return nil, err
		}
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(in, payload); err != nil {
		return nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, nil
}
