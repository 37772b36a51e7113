// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestExecIsTheCommandLines checks that an exec by the daemon's API equals one by
// the command line, to the exit code and each byte.
func TestExecIsTheCommandLines(t *testing.T) {
	if dialAPI() == nil {
		t.Fatal("this engine has no API that the harness speaks: there is nothing to compare")
	}
	c := Start(t, Options{Command: []string{"demotools", "sleep", "600"}})
	c.WaitServing(20 * time.Second)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	for name, try := range map[string]struct {
		user    string
		flags   []string
		stdin   []byte
		command []string
	}{
		"fine":         {"", nil, nil, []string{"gatewayctl", "health"}},
		"refused":      {"", nil, nil, []string{"gatewayctl", "nonsense"}},
		"user":         {"sandbox", nil, nil, []string{"demotools", "id"}},
		"environment":  {"", []string{"-e", "DECOY=a b"}, nil, []string{"demotools", "env"}},
		"stdin":        {"sandbox", []string{"-i"}, big, []string{"demotools", "scan-token", "/nowhere"}},
		"no-program":   {"", nil, nil, []string{"/no/such/program"}},
		"no-permitted": {"sandbox", nil, nil, []string{"/usr/local/bin/gatewayctl"}},
		"detached":     {"", []string{"-d"}, nil, []string{"demotools", "exit", "3"}},
		"no-user":      {"no-such-user", nil, nil, []string{"demotools", "id"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.For(t)
			got := c.ExecFlags(try.flags, try.user, try.stdin, try.command...)
			want := Engine(t, try.stdin, append(append(ExecArgs(t, try.user, try.flags...), c.Name), try.command...)...)
			// Numbers may differ from call to call.
			if name == "fine" {
				got.Stdout, want.Stdout = got.Stdout[:8], want.Stdout[:8]
			}
			// The command line adds messages of its own, which differ between
			// versions.
			if got.Code != want.Code || got.Stdout != want.Stdout || !strings.HasPrefix(want.Stderr, got.Stderr) && got.Code < 125 && got.Stderr != want.Stderr {
				t.Errorf("got %v\nthe command line: %v", got, want)
			}
		})
	}
	c.Stop()
	if r := c.Exec("", "gatewayctl", "health"); r.Code != 1 || !strings.Contains(r.Stderr, "is not running") {
		t.Errorf("in a container that has ended: %v", r)
	}
}

func TestExecFlags(t *testing.T) {
	for text, want := range map[string]struct {
		known  bool
		detach bool
		user   string
		env    int
	}{
		"-i -u root":       {true, false, "root", 0},
		"-d -e A=1 -e B=2": {true, true, "", 2},
		"-e HOME":          {known: false}, // from the command line's own environment
		"-t":               {known: false},
		"-u":               {known: false},
	} {
		c, known := execFlags(strings.Fields(text), []string{"x"})
		if known != want.known || known && (c.detach != want.detach || c.User != want.user || len(c.Env) != want.env || c.AttachStdin != slices.Contains(strings.Fields(text), "-i")) {
			t.Errorf("%s: %v %+v", text, known, c)
		}
	}
}

func TestDemultiplex(t *testing.T) {
	frame := func(stream byte, text string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, uint32(len(text))), text...)
	}
	whole := slices.Concat(frame(1, "out"), frame(2, "err"), frame(1, ""), frame(1, "more"))
	var stdout, stderr strings.Builder
	if err := demultiplex(bytes.NewReader(whole), &stdout, &stderr); err != nil || stdout.String() != "outmore" || stderr.String() != "err" {
		t.Errorf("%v: %q %q", err, &stdout, &stderr)
	}
	for _, cut := range []int{4, 9, len(whole) - 1} {
		if err := demultiplex(bytes.NewReader(whole[:cut]), io.Discard, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}
