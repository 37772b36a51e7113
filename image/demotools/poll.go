// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Bounds of the clients.
const (
	pollEvery = 10 * time.Millisecond
	pollLimit = time.Second // for one connection
)

// pollAgent is the User-Agent of the clients. A test knows by it which requests the
// thief got from a client, and which from the proof worker.
const pollAgent = "demo-client"

const pollAddr = "127.0.0.1:18789"

// pollHTTP asks the gateway with the token of its environment again and again,
// each time by a new connection, as a vendor's command does that waits for
// something.
func pollHTTP(args []string) error {
	client := &http.Client{Timeout: pollLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(args, func(token string) error {
		req, err := http.NewRequest("GET", demoWhoami, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("User-Agent", pollAgent)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// pollWS connects again and again by WebSocket. Its token is in the first frame
// only, as OpenClaw's clients do it. The demo gateway refuses the upgrade.
func pollWS(args []string) error {
	return poll(args, func(token string) error {
		conn, err := net.DialTimeout("tcp", pollAddr, pollLimit)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(pollLimit)); err != nil {
			return err
		}
		fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
			pollAddr, pollAgent, base64.StdEncoding.EncodeToString([]byte(rand.Text()[:16])))
		in := bufio.NewReader(conn)
		head, err := readHead(in)
		if err != nil || !strings.Contains(head, " 101 ") {
			return err
		}
		if _, err := conn.Write(maskedFrame([]byte(`{"method":"connect","auth":{"token":"` + token + `"}}`))); err != nil {
			return err
		}
		_, err = readFrame(in)
		return err
	})
}

// poll calls try for so many seconds; 0 is until it is ended. An error of one
// try is no end: the gateway is down now and then.
func poll(args []string, try func(token string) error) error {
	life, err := seconds(args[0])
	if err != nil {
		return err
	}
	token := os.Getenv(demoTokenEnv)
	if token == "" {
		return fmt.Errorf("cannot poll without %s", demoTokenEnv)
	}
	for end := time.Now().Add(life); life == 0 || time.Now().Before(end); time.Sleep(pollEvery) {
		_ = try(token)
	}
	return nil
}

// maskedFrame is one text frame of at most 64 KiB, as a client must send it.
func maskedFrame(payload []byte) []byte {
	frame := []byte{0x81, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}
