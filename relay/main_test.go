// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// mainEnv makes the test binary the program.
const mainEnv = "RELAY_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestArguments checks that each mistake in the command line is named, on one line.
func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"version":        {[]string{"--version"}, 0, "gateway-relay "},
		"help":           {[]string{"--help"}, 0, "-listeners"},
		"no-listeners":   {nil, 2, "--listeners must be from 1 to 16"},
		"many-listeners": {[]string{"--listeners", "17"}, 2, "--listeners must be from 1 to 16"},
		"no-number":      {[]string{"--listeners", "x"}, 2, "invalid value"},
		"wait":           {[]string{"--listeners", "1", "--wait", "2h"}, 2, "--wait must be from 0s to 1h"},
		"log":            {[]string{"--listeners", "1", "--log", "xml"}, 2, "--log must be json or text"},
		"operator":       {[]string{"--listeners", "1", "--operator", "4294967296"}, 2, "--operator must be a uid"},
		"argument":       {[]string{"--listeners", "1", "x"}, 2, `unexpected argument "x"`},
		"unknown":        {[]string{"--loops", "2"}, 2, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			code := run(c.args, &out, &stderr)
			if all := out.String() + stderr.String(); code != c.code || !strings.Contains(all, c.want) {
				t.Errorf("code %d, %q", code, all)
			}
		})
	}
}

// TestRefusesToStart checks that the relay does not run as root, with a capability, or
// with other descriptors than PID 1 passes.
func TestRefusesToStart(t *testing.T) {
	testenv.Root(t)
	nobody := &syscall.Credential{Uid: testenv.Stranger, Gid: testenv.Stranger}
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		args []string
		want string
	}{
		"root":           {&syscall.SysProcAttr{}, nil, "cannot run as root"},
		"root-s-group":   {&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testenv.Stranger, NoSetGroups: true}}, nil, "cannot run as root"},
		"capability":     {&syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{10}}, nil, "cannot run with capabilities (0x400)"},
		"no-descriptors": {&syscall.SysProcAttr{Credential: nobody}, nil, "cannot start: descriptor "},
		"one-user":       {&syscall.SysProcAttr{}, []string{"--one-user"}, "cannot start: descriptor "},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", append([]string{"--listeners", "1"}, c.args...)...)
			cmd.Env = []string{mainEnv + "=1"}
			cmd.SysProcAttr = c.attr
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), "gateway-relay: "+c.want) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("%v, %q", err, out)
			}
		})
	}
}

// TestLog checks the form of a line in both formats, and that refusals are at most one line
// a second.
func TestLog(t *testing.T) {
	r, w := io.Pipe()
	l := newLog(w, "json")
	lines := json.NewDecoder(r)
	for range 10 {
		l.Refused(relaycount.Foreign, 2002)
	}
	l.next = time.Time{}
	l.Refused(relaycount.NoLife, 0)
	for n, want := range []map[string]any{
		{"level": "warn", "origin": "relay", "event": evRefused, "reason": "foreign", "uid": 2002.0},
		{"level": "warn", "origin": "relay", "event": evRefused, "reason": "no-life", "skipped": 9.0},
	} {
		var got map[string]any
		testenv.Must(t, lines.Decode(&got))
		if _, err := time.Parse(time.RFC3339, got["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(got, "time")
		if len(got) != len(want) {
			t.Errorf("line %d: %v", n, got)
		}
		for key, value := range want {
			if got[key] != value {
				t.Errorf("line %d: %s is %v, want %v", n, key, got[key], value)
			}
		}
	}
	text := newLog(w, "text")
	text.write("info", evReady, field{"clients", 7}, field{"detail", `two "words"`}, field{"empty", ""})
	b := make([]byte, 1000)
	n, err := r.Read(b)
	testenv.Must(t, err)
	if _, rest, _ := strings.Cut(string(b[:n]), " "); rest != `level=info origin=relay event=relay-ready clients=7 detail="two \"words\"" empty=""`+"\n" {
		t.Errorf("got %q", b[:n])
	}
}
