// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLimitCapabilities checks what a program has that the confined thread executes,
// and that other threads keep theirs.
func TestLimitCapabilities(t *testing.T) {
	testenv.Root(t)
	granted := func() string {
		out, err := exec.Command("grep", "CapPrm", "/proc/self/status").Output()
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(strings.TrimPrefix(string(out), "CapPrm:"))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all := granted()
	confined, err := newThread(limitCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	defer confined.end()
	var limited, own uint64
	confined.do(func() { _, err = fmt.Sscanf(granted(), "%x", &limited) })
	if _, other := fmt.Sscanf(all, "%x", &own); errors.Join(err, other) != nil {
		t.Fatal(err, other)
	}
	if limited != own&dockerCapabilities {
		t.Errorf("%x, want %x", limited, own&dockerCapabilities)
	}
	if now := granted(); now != all {
		t.Errorf("another thread has %s, and had %s", now, all)
	}
}

func TestPin(t *testing.T) {
	one, err := newThread(func() error { return pin(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer one.end()
	one.do(func() {
		out, err := exec.Command("nproc").Output()
		if got := strings.TrimSpace(string(out)); got != "1" || err != nil {
			t.Errorf("%q CPUs, %v", got, err)
		}
	})
}

func TestThreadThatCannotStart(t *testing.T) {
	want := errors.New("refused")
	if _, err := newThread(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}
