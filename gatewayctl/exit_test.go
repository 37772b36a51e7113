// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// TestEveryReason: code, sentence, hint and documentation exist for every word.
func TestEveryReason(t *testing.T) {
	want := map[control.Reason]int{
		control.LaunchFailed: 1, control.Exited: 1, control.HealthTimeout: 4, control.ListenerMissing: 4,
		control.ListenerForeign: 4, control.IdentityChanged: 1, control.AuthMismatch: 4, control.Unproven: 4,
		control.NotRunning: 4, control.StopTimeout: 1, control.Superseded: 1, control.PrepareFailed: 1,
		control.TokenFailed: 1, control.TokenChanged: 1, control.UnsafeConfig: 3, control.Replayed: 3,
		control.Malformed: 3, control.UnknownAction: 3, control.QueueFull: 1, control.ShuttingDown: 1,
		control.NotPermitted: 3, control.Internal: 1,
	}
	doc, err := os.ReadFile(filepath.Join("..", "docs", "reasons.md"))
	must(t, err)
	fallback := adviceFor("no-such-reason")
	for _, r := range control.Reasons {
		code, ok := want[r]
		if got := exitFor(r); !ok || got != code {
			t.Errorf("%s: exit code %d, want %d (listed: %v)", r, got, code, ok)
		}
		if a := adviceFor(r); a == fallback || a.text == "" || a.next == "" {
			t.Errorf("%s: no advice", r)
		}
		if !strings.Contains(string(doc), fmt.Sprintf("| `%s` | %d |", r, code)) {
			t.Errorf("%s with exit code %d is not in docs/reasons.md", r, code)
		}
	}
	if exitFor("no-such-reason") != exitFailed {
		t.Error("an unknown reason must be a failure")
	}
}

func TestErrorExit(t *testing.T) {
	unsent := func(err error) error { return &control.UnsentError{Err: err} }
	tests := map[string]struct {
		err  error
		code int
		hint string
	}{
		"deadline":          {control.ErrDeadline, exitDeadline, "stays queued"},
		"deadline-unsent":   {unsent(control.ErrDeadline), exitDeadline, "nothing was sent"},
		"interrupted":       {context.Canceled, exitFailed, "stays queued"},
		"interrupted-early": {unsent(context.Canceled), exitFailed, "nothing was sent"},
		"no-supervisor":     {control.ErrNoSupervisor, exitNoSupervisor, "docker logs"},
		"missing":           {fs.ErrNotExist, exitNoSupervisor, "docker logs"},
		"unsafe":            {control.ErrUnsafe, exitFailed, "root"},
		"schema":            {status.ErrSchema, exitFailed, "same version"},
		"permission":        {fs.ErrPermission, exitRefused, "docker exec"},
		"garbage":           {control.ErrGarbage, exitFailed, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, hint := errorExit(fmt.Errorf("cannot: %w", test.err))
			if code != test.code || !strings.Contains(hint, test.hint) {
				t.Errorf("trouble = %d, %q", code, hint)
			}
		})
	}
	if code, _ := errorExit(errors.New("other")); code != exitFailed {
		t.Errorf("other: %d", code)
	}
}
