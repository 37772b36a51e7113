// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSealedMemfd checks that the hashed program cannot change after the seal.
func TestSealedMemfd(t *testing.T) {
	f, err := SealedMemfd("x", strings.NewReader("text"), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("T"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("a write: %v", err)
	}
	if err := f.Truncate(1); !errors.Is(err, unix.EPERM) {
		t.Errorf("a cut: %v", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_EXEC); !errors.Is(err, unix.EPERM) {
		t.Errorf("another seal: %v", err)
	}
	buf := make([]byte, 4)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "text" {
		t.Errorf("it has %q, %v", buf, err)
	}
	if f, err := SealedMemfd("x", strings.NewReader("text"), 3); err == nil || !strings.Contains(err.Error(), "larger than 3 bytes") {
		t.Errorf("too much: %v, %v", f, err)
	}
	if f, err := SealedMemfd("x", failing{}, 3); !errors.Is(err, unix.EIO) {
		t.Errorf("an error of the source: %v, %v", f, err)
	}
	if f, err := SealedMemfd(strings.Repeat("x", 300), strings.NewReader(""), 3); err == nil {
		t.Errorf("a name that is too long: %v", f)
	}
	// It can be executed, although it is open for writing here.
	script, err := SealedMemfd("x", strings.NewReader("#!/bin/sh\necho here\n"), 99)
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = append(cmd.ExtraFiles, script)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "here\n" {
		t.Errorf("executed: %q, %v", out, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, unix.EIO }
