// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestPackets checks that packets keep their bounds, and what comes with a descriptor.
func TestPackets(t *testing.T) {
	ours, theirs, err := PacketPair()
	testenv.Must(t, err)
	defer ours.Close()
	defer theirs.Close()
	fd := int(theirs.Fd())
	if !IsPacketSocket(fd) {
		t.Error("it is no packet socket")
	}
	for _, pass := range []int{-1, fd} {
		for _, packet := range []string{"one", "another"} {
			testenv.Must(t, SendPacketOn(ours, []byte(packet), pass))
		}
		for _, packet := range []string{"one", "another"} {
			buf := make([]byte, 10)
			n, passed, err := ReceivePacket(fd, buf, true)
			if err != nil || string(buf[:n]) != packet || (passed >= 0) != (pass >= 0) {
				t.Errorf("got %q, descriptor %d, %v", buf[:n], passed, err)
			}
			if passed >= 0 {
				if flags, err := unix.FcntlInt(uintptr(passed), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("flags %d, %v", flags, err)
				}
				Close(passed)
			}
		}
	}
	if _, _, err := ReceivePacket(fd, make([]byte, 1), true); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing there: %v", err)
	}
	testenv.Must(t, SendPacketOn(ours, []byte("too long"), fd))
	if _, passed, err := ReceivePacket(fd, make([]byte, 3), true); err != ErrCut || passed != -1 {
		t.Errorf("too long: descriptor %d, %v", passed, err)
	}
	// Two descriptors do not fit.
	testenv.Must(t, unix.Sendmsg(fd, []byte("x"), unix.UnixRights(fd, fd), nil, 0))
	done := make(chan error)
	go func() { _, err := AwaitPacket(ours, make([]byte, 1)); done <- err }()
	if err := <-done; err != ErrCut {
		t.Errorf("descriptors that were not asked for: %v", err)
	}
	testenv.Must(t, SendPacketOn(ours, []byte("x"), -1))
	testenv.Must(t, ours.Close())
	for _, want := range []int{1, 0} {
		if n, _, err := ReceivePacket(fd, make([]byte, 1), true); err != nil || n != want {
			t.Errorf("got %d, %v; want %d", n, err, want)
		}
	}
	if err := SendPacket(fd, []byte("x"), -1); !errors.Is(err, unix.EPIPE) {
		t.Errorf("nobody reads: %v", err)
	}
}

// TestTooManyDescriptors checks that none of several descriptors stays open.
func TestTooManyDescriptors(t *testing.T) {
	ours, theirs, err := PacketPair()
	testenv.Must(t, err)
	defer ours.Close()
	defer theirs.Close()
	fd := int(theirs.Fd())
	before, err := os.ReadDir("/proc/self/fd")
	testenv.Must(t, err)
	for range 3 {
		testenv.Must(t, control(ours, "sendmsg", func(our int) error {
			return unix.Sendmsg(our, []byte("x"), unix.UnixRights(fd, fd, fd, fd, fd), nil, 0)
		}))
		if _, passed, err := ReceivePacket(fd, make([]byte, 1), true); err != ErrCut || passed != -1 {
			t.Errorf("descriptor %d, %v", passed, err)
		}
	}
	after, err := os.ReadDir("/proc/self/fd")
	testenv.Must(t, err)
	if len(after) != len(before) {
		t.Errorf("%d descriptors became %d", len(before), len(after))
	}
}

// TestMapShared checks that two mappings and the file are the same bytes.
func TestMapShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page")
	testenv.Must(t, os.WriteFile(path, make([]byte, 4096), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	testenv.Must(t, err)
	defer f.Close()
	one, err := MapShared(int(f.Fd()), 4096)
	testenv.Must(t, err)
	other, err := MapShared(int(f.Fd()), 4096)
	testenv.Must(t, err)
	one[7] = 42
	data, err := os.ReadFile(path)
	if testenv.Must(t, err); other[7] != 42 || data[7] != 42 {
		t.Errorf("mapped %d, in the file %d", other[7], data[7])
	}
	if size, err := RegularSize(int(f.Fd())); size != 4096 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	r, err := os.Open("/dev/null")
	testenv.Must(t, err)
	defer r.Close()
	if size, err := RegularSize(int(r.Fd())); size != -1 || err != nil {
		t.Errorf("a device: %d, %v", size, err)
	}
	if _, err := RegularSize(1 << 20); err == nil {
		t.Error("a closed descriptor has a size")
	}
	if _, err := MapShared(1<<20, 4096); err == nil {
		t.Error("a closed descriptor was mapped")
	}
}
