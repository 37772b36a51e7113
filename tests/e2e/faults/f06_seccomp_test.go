// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// rule is a rule of a seccomp profile in the engines' format.
type rule struct {
	Names  []string `json:"names"`
	Action string   `json:"action"`
	Errno  uint     `json:"errnoRet"`
	Args   []arg    `json:"args,omitempty"`
}

type arg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"` // the mask of SCMP_CMP_MASKED_EQ
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// clonePidfd is CLONE_PIDFD, which Go's fork sets.
const clonePidfd = 0x1000

// errnos are the errors of a refused call: EPERM from profiles that are older than
// the call, ENOSYS from newer engines and older kernels.
var errnos = map[string]uint{"eperm": 1, "enosys": 38}

// refused are the newer calls that our code, or Go's runtime and library, make now
// or may make later.
var refused = map[string]rule{
	"pidfd_open":         {Names: []string{"pidfd_open"}},
	"pidfd_send_signal":  {Names: []string{"pidfd_send_signal"}},
	"pidfds":             {Names: []string{"pidfd_open", "pidfd_send_signal", "pidfd_getfd"}},
	"waitid-pidfd":       {Names: []string{"waitid"}, Args: []arg{{Index: 0, Value: 3, Op: "SCMP_CMP_EQ"}}},
	"clone-pidfd":        {Names: []string{"clone"}, Args: []arg{{Index: 0, Value: clonePidfd, ValueTwo: clonePidfd, Op: "SCMP_CMP_MASKED_EQ"}}},
	"openat2":            {Names: []string{"openat2"}},
	"close_range":        {Names: []string{"close_range"}},
	"clone3":             {Names: []string{"clone3"}},
	"renameat2":          {Names: []string{"renameat2"}},
	"statx":              {Names: []string{"statx"}},
	"faccessat2":         {Names: []string{"faccessat2"}},
	"fchmodat2":          {Names: []string{"fchmodat2"}},
	"epoll_pwait2":       {Names: []string{"epoll_pwait2"}},
	"memfd_create":       {Names: []string{"memfd_create"}},
	"getrandom":          {Names: []string{"getrandom"}},
	"prlimit64":          {Names: []string{"prlimit64"}},
	"netlink":            {Names: []string{"socket"}, Args: []arg{{Index: 0, Value: 16, Op: "SCMP_CMP_EQ"}}},
	"landlock":           {Names: []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}},
	"landlock-restrict":  {Names: []string{"landlock_restrict_self"}},
	"everything-of-2019": {Names: []string{"pidfd_open", "pidfd_send_signal", "openat2", "close_range", "clone3", "faccessat2", "epoll_pwait2", "fchmodat2"}},
}

// down are the calls that boot needs. Without one boot ends with a line that names
// it.
var down = map[string]string{"getrandom": "getrandom"}

// stuck are the calls that a launch needs. Without one no child can be launched, and
// status names it.
var stuck = map[string]string{"memfd_create": "memfd_create"}

// profile makes a seccomp profile that refuses only the rule's calls.
func profile(t *testing.T, r rule, errno uint) string {
	t.Helper()
	r.Action, r.Errno = "SCMP_ACT_ERRNO", errno
	data, err := json.Marshal(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []rule{r}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seccomp.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Scenario F06. If an old seccomp profile refuses a newer system call,
// gateway-init does without it, or says so.
//
// On a host whose engine is older than the image a newer system call fails with
// EPERM. Programs that do not expect it there fail in strange ways. Every pihole
// container once failed to start.
func TestOldSeccompProfileIsSurvived(t *testing.T) {
	for name, r := range refused {
		for errnoName, errno := range errnos {
			t.Run(name+"/"+errnoName, func(t *testing.T) {
				c := harness.Start(t, harness.Options{Extra: []string{"--security-opt", "seccomp=" + profile(t, r, errno)}})
				if word, ok := down[name]; ok {
					endsWithOneLine(t, c, word)
					return
				}
				if word, ok := stuck[name]; ok {
					c.WaitStatus(20*time.Second, "a reason that names "+word, func(v harness.View) error {
						if r := v.Record; r.State != status.Backoff || r.Reason != "launch-failed" || !strings.Contains(r.Detail, word) {
							return fmt.Errorf("it is %s, %s: %s", r.State, r.Reason, r.Detail)
						}
						return nil
					})
					return
				}
				checkOperations(t, c)
				if got := strings.Contains(c.Logs(), `"event":"hardening","name":"gateway-not-confined"`); got != strings.HasPrefix(name, "landlock") {
					t.Errorf("a gateway that is not confined is named: %v", got)
				}
			})
		}
	}
}

// checkOperations goes through the operations that use the newer calls: launch, proof,
// signals, rotation, shutdown.
func checkOperations(t *testing.T, c *harness.Container) {
	t.Helper()
	before := c.WaitServing(20 * time.Second)
	first := c.Token()
	c.MustCtl("restart", "--rotate-token")
	if c.Token() == first {
		t.Error("the token was not rotated")
	}
	c.MustCtl("probe")
	c.MustCtl("stop")
	if s := c.Status(); s.State != status.Stopped {
		t.Errorf("state after stop: %s", s.State)
	}
	c.MustCtl("start")
	if after := c.WaitServing(10 * time.Second); after.Gateway.Process == before.Gateway.Process || after.Proof.Auth != status.Held {
		t.Errorf("gateway %+v, proof %+v", after.Gateway.Process, after.Proof)
	}
	if code := stopCode(c); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(c.Logs(), `"event":"internal"`) || strings.Contains(c.Logs(), "panic") {
		t.Error("the log has an internal error")
	}
}

// endsWithOneLine checks for exit code 1 and, beside warnings, one line that has the
// word.
func endsWithOneLine(t *testing.T, c *harness.Container, word string) {
	t.Helper()
	if code := c.WaitExit(20 * time.Second); code != 1 {
		t.Errorf("exit code %d", code)
	}
	var said []string
	for line := range strings.Lines(c.Logs()) {
		if !strings.HasPrefix(line, `{"time":`) || !strings.Contains(line, `,"level":"warn",`) {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "gateway-init: cannot ") || !strings.Contains(said[0], word) {
		t.Errorf("not one line with %q: %q", word, said)
	}
}
