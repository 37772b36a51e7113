// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// What a client masks the robber reads, for each form of the length.
func TestFrames(t *testing.T) {
	for name, payload := range map[string]string{
		"empty": "", "short": "token", "middle": strings.Repeat("0123456789abcdef", 20), "long": strings.Repeat("x", robberFrame-1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readFrame(bytes.NewReader(maskedFrame([]byte(payload))))
			if err != nil || string(got) != payload {
				t.Errorf("got %d bytes and %v, want %d", len(got), err, len(payload))
			}
		})
	}
	if got, err := readFrame(strings.NewReader("\x81\x02ab")); err != nil || string(got) != "ab" {
		t.Errorf("without a mask: %q, %v", got, err)
	}
	if got, err := readFrame(strings.NewReader("\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x03abc")); err != nil || string(got) != "abc" {
		t.Errorf("with eight bytes of length: %q, %v", got, err)
	}
	if _, err := readFrame(strings.NewReader("\x81\x7f\x7f\x00\x00\x00\x00\x00\x00\x03abc")); err == nil {
		t.Error("a frame of many exabytes was read")
	}
}

func TestReadHead(t *testing.T) {
	head, err := readHead(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nUSER-Agent:  demo-client \r\n\r\nbody")))
	if err != nil || headerOf(head, "user-agent") != "demo-client" || strings.Contains(head, "body") {
		t.Errorf("%q, %v", head, err)
	}
	if head, err := readHead(bufio.NewReader(strings.NewReader("Authorization: half"))); err == nil || head != "Authorization: half" {
		t.Errorf("a request that breaks off: %q, %v", head, err)
	}
	if _, err := readHead(bufio.NewReader(strings.NewReader(strings.Repeat("x", robberHead+1)))); err == nil {
		t.Error("a head without an end was read")
	}
}
