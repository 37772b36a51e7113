// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// within runs f in the box's namespaces, on a thread whose sockets belong to uid.
func within(b *box.Box, uid int, f func() error) (err error) {
	harness.OwnThread(func() {
		if err = harness.JoinNamespaces(b.PID); err != nil {
			return
		}
		unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
		if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); int(now) != uid {
			err = unix.EPERM
			return
		}
		err = f()
	})
	return err
}

// hold binds the addresses as uid, and listens there if that is asked for. It stays so until
// release is called.
func hold(t *testing.T, b *box.Box, uid int, listen bool, addrs ...string) (files []*os.File, release func()) {
	t.Helper()
	testenv.Must(t, within(b, uid, func() error {
		for _, text := range addrs {
			f, err := sys.BindTCP(netip.MustParseAddrPort(text), sys.Bind{ReuseAddr: true})
			if err == nil && listen {
				err = sys.Listen(f, 16, 4096)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			files = append(files, f)
		}
		return nil
	}))
	release = func() {
		for _, f := range files {
			f.Close()
		}
		files = nil
	}
	t.Cleanup(release)
	return files, release
}

// accepted counts the connections that wait at listening sockets.
func accepted(files []*os.File) (n int) {
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			continue
		}
		for {
			l.(*net.TCPListener).SetDeadline(past)
			c, err := l.Accept()
			if errors.Is(err, os.ErrDeadlineExceeded) || err != nil {
				break
			}
			c.Close()
			n++
		}
		l.Close()
	}
	return n
}
