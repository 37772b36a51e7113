// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// within is the scenario's bound for status and restart.
const within = 2 * time.Second

// Scenario F04. With stdout and stderr closed, blocked, or on a full disk,
// status and restart answer within 2 s.
//
// An init whose log reader hangs must not hang with it. Otherwise an operator gets
// no answer when something is wrong.
func TestBlockedOutputNeverBlocksRequests(t *testing.T) {
	for name, stdio := range map[string]func(t *testing.T, o *box.Options){
		"stdout-and-stderr-closed": func(_ *testing.T, o *box.Options) { o.Close = []int{1, 2} },
		"stderr-closed":            func(_ *testing.T, o *box.Options) { o.Close = []int{2} },
		"all-three-closed":         func(_ *testing.T, o *box.Options) { o.Close = []int{0, 1, 2} },
		"pipe-that-nobody-reads":   func(t *testing.T, o *box.Options) { o.Stdout = fullPipe(t); o.Stderr = o.Stdout },
		"socket-that-nobody-reads": func(t *testing.T, o *box.Options) { o.Stdout = fullSocket(t); o.Stderr = o.Stdout },
		"device-full":              func(t *testing.T, o *box.Options) { o.Stdout = open(t, "/dev/full"); o.Stderr = o.Stdout },
		"disk-full":                func(t *testing.T, o *box.Options) { o.Stdout = fullDisk(t); o.Stderr = o.Stdout },
	} {
		t.Run(name, func(t *testing.T) {
			// A gateway that waits for its own log does not exit on TERM.
			o := box.Options{Config: brief(map[string]any{"stop": map[string]any{"grace": "500ms"}})}
			stdio(t, &o)
			b := box.Start(t, o)
			before := b.WaitServing(10 * time.Second)
			answers(t, b)

			// These are more lines than the log keeps, most of them at once.
			request, err := os.OpenFile(b.Path(box.Runtime+"/control/request"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer request.Close()
			for range 100 {
				if _, err := request.WriteString(strings.Repeat("x\n", 20)); err != nil {
					t.Fatal(err)
				}
			}
			answers(t, b)
			if after := b.WaitServing(time.Second); after.Restarts != before.Restarts+2 || after.Refused.Malformed != 2000 {
				t.Errorf("restarts %d, malformed requests %d", after.Restarts, after.Refused.Malformed)
			}
			b.Signal(unix.SIGTERM)
			if s := b.Wait(bound); !s.Exited() || s.ExitStatus() != 0 && s.ExitStatus() != killed {
				t.Errorf("ended with %d, signal %d", s.ExitStatus(), s.Signal())
			}
		})
	}
}

// Scenario F04, a reader that died. The engine's log reader died. A gateway that
// writes gets SIGPIPE and may exit because of it, again and again. PID 1 may not,
// and reports the gateway's exits.
func TestLostLogReaderNeverEndsInit(t *testing.T) {
	o := box.Options{Config: brief(map[string]any{"restart": map[string]any{"backoff_max": "1s"}})}
	o.Stdout = brokenPipe(t)
	o.Stderr = o.Stdout
	b := box.Start(t, o)
	b.WaitRecord(10*time.Second, "the third crash", func(r status.Record) error {
		if r.Crashes < 3 || r.LastExit == nil || r.LastExit.Code != 128+int(unix.SIGPIPE) {
			return fmt.Errorf("crashes %d, last exit %+v", r.Crashes, r.LastExit)
		}
		return nil
	})
	for verb, want := range map[string]struct {
		code int
		text string
	}{"status": {4, "exit code 141"}, "restart": {1, "exited"}} {
		begin := time.Now()
		if r := b.Ctl(verb); r.Code != want.code || !strings.Contains(r.Stdout+r.Stderr, want.text) {
			t.Errorf("%s: %v", verb, r)
		}
		if took := time.Since(begin); took > testenv.AtMost(t, within) {
			t.Errorf("%s took %v", verb, took)
		}
	}
	b.Signal(unix.SIGTERM)
	if s := b.Wait(bound); s.ExitStatus() != 0 {
		t.Errorf("ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
}

// answers checks that status and restart answer in time.
func answers(t *testing.T, b *box.Box) {
	t.Helper()
	for _, verb := range []string{"status", "restart", "status"} {
		begin := time.Now()
		b.MustCtl(verb)
		if took := time.Since(begin); took > testenv.AtMost(t, within) {
			t.Errorf("%s took %v", verb, took)
		}
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// fill writes until the descriptor is full, and leaves it blocking.
func fill(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			if _, err := unix.Write(fd, make([]byte, size)); err == unix.EAGAIN || err == unix.ENOSPC {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// pair fills a pipe or socket and returns its writing end. The reading end stays
// open until the test ends.
func pair(t *testing.T, read, write int) *os.File {
	t.Helper()
	fill(t, write)
	r, w := os.NewFile(uintptr(read), "read"), os.NewFile(uintptr(write), "write")
	t.Cleanup(func() { r.Close(); w.Close() })
	return w
}

func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return pair(t, p[0], p[1])
}

func fullSocket(t *testing.T) *os.File {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return pair(t, p[0], p[1])
}

func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// fullDisk returns a file on a full file system.
func fullDisk(t *testing.T) *os.File {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fill(t, int(f.Fd()))
	return f
}
