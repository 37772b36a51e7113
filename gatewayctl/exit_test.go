// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

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
			code, hint := operate.Explain(fmt.Errorf("cannot: %w", test.err))
			if code != test.code || !strings.Contains(hint, test.hint) {
				t.Errorf("trouble = %d, %q", code, hint)
			}
		})
	}
	if code, _ := operate.Explain(errors.New("other")); code != exitFailed {
		t.Errorf("other: %d", code)
	}
}
