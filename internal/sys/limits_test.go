// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLimits checks the limits of the relay.
func TestLimits(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	testenv.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: 200}))
	if n, err := RaiseFiles(1000); err != nil || n != 200 {
		t.Errorf("%d files, %v", n, err)
	}
	if n, err := RaiseFiles(150); err != nil || n != 150 {
		t.Errorf("%d files, %v", n, err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	testenv.Must(t, err)
	testenv.Must(t, LimitFileSize(10))
	if n, err := f.Write(make([]byte, 20)); n != 10 || err == nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if size, err := RegularSize(int(f.Fd())); err != nil || size != 10 {
		t.Errorf("size %d, %v", size, err)
	}
	if !IsOpen(int(f.Fd())) || IsOpen(190) {
		t.Error("which descriptors are open is wrong")
	}
}
