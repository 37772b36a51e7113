// SPDX-License-Identifier: Apache-2.0

package control

import (
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// TestReply checks the lines of docs/design.md, section 8, which scripts read.
func TestReply(t *testing.T) {
	n := nonceOf("c")
	for want, r := range map[string]Reply{
		"accepted":                        {Outcome: Accepted},
		"complete ok 12 34":               {Outcome: OK, OldPID: 12, NewPID: 34},
		"complete already-running 12 12":  {Outcome: AlreadyRunning, OldPID: 12, NewPID: 12},
		"complete stopped 12 0":           {Outcome: Stopped, OldPID: 12},
		"complete stopped 0 0":            {Outcome: Stopped},
		"failed listener-foreign 12 0":    {Outcome: Failed, Reason: reason.ListenerForeign, OldPID: 12},
		"failed shutting-down 0 4194304":  {Outcome: Failed, Reason: reason.ShuttingDown, NewPID: 4194304},
		"failed health-timeout 7 1234567": {Outcome: Failed, Reason: reason.HealthTimeout, OldPID: 7, NewPID: 1234567},
	} {
		r.Nonce = n
		if r.Result() != want || r.String() != "v1 "+n+" "+want {
			t.Errorf("got %q, want %q", r.String(), want)
		}
		if r.Final() != (want != "accepted") {
			t.Errorf("%q: final is %v", want, r.Final())
		}
		for _, end := range []string{"", "\n"} {
			if got, err := ParseReply("v1 " + n + " " + want + end); err != nil || got != r {
				t.Errorf("%q came back as %+v, %v", want+end, got, err)
			}
		}
	}
	for _, word := range reason.List() {
		r := Reply{Nonce: n, Outcome: Failed, Reason: word}
		if got, err := ParseReply(r.String()); err != nil || got != r {
			t.Errorf("%q came back as %+v, %v", word, got, err)
		}
	}
}

// TestParseReplyRefuses checks that a line that is no reply is not read as a success.
func TestParseReplyRefuses(t *testing.T) {
	n := nonceOf("c")
	for name, line := range map[string]string{
		"empty":          "",
		"other-version":  "v2 " + n + " accepted",
		"no-nonce":       "v1 accepted",
		"bad-nonce":      "v1 " + n[1:] + " accepted",
		"nonce-only":     "v1 " + n,
		"unknown":        "v1 " + n + " done",
		"accepted-more":  "v1 " + n + " accepted 1 2",
		"unknown-end":    "v1 " + n + " complete fine 1 2",
		"accepted-end":   "v1 " + n + " complete accepted 1 2",
		"failed-end":     "v1 " + n + " complete failed 1 2",
		"unknown-reason": "v1 " + n + " failed because 1 2",
		"no-reason":      "v1 " + n + " failed  1 2",
		"one-pid":        "v1 " + n + " complete ok 1",
		"three-pids":     "v1 " + n + " complete ok 1 2 3",
		"negative":       "v1 " + n + " complete ok -1 2",
		"signed":         "v1 " + n + " complete ok +1 2",
		"leading-zero":   "v1 " + n + " complete ok 01 2",
		"overflow":       "v1 " + n + " complete ok 99999999999999999999 2",
		"two-newlines":   "v1 " + n + " complete ok 1 2\n\n",
		"two-replies":    "v1 " + n + " accepted\nv1 " + n + " complete ok 1 2\n",
		"carriage":       "v1 " + n + " complete ok 1 2\r\n",
		"two-spaces":     "v1 " + n + "  complete ok 1 2",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseReply(line)
			if err == nil || r != (Reply{}) {
				t.Errorf("accepted as %+v, %v", r, err)
			} else if strings.Contains(err.Error(), n) {
				t.Errorf("the error repeats what was read: %v", err)
			}
		})
	}
}

// FuzzReply checks that an accepted line is written as it was read.
func FuzzReply(f *testing.F) {
	n := nonceOf("0")
	for _, s := range []string{" accepted", " complete ok 1 2\n", " failed exited 0 0", " complete stopped 5 0"} {
		f.Add("v1 " + n + s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseReply(line)
		if err != nil {
			return
		}
		if r.String() != strings.TrimSuffix(line, "\n") {
			t.Fatalf("%q came back as %q", line, r.String())
		}
		if (r.Outcome == Failed) != r.Reason.Valid() || !isNonce(r.Nonce) || r.OldPID < 0 || r.NewPID < 0 {
			t.Fatalf("accepted %+v", r)
		}
	})
}
