// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestEpollWait checks the times that it waits, with and without epoll_pwait2.
func TestEpollWait(t *testing.T) {
	e, err := NewEpoll()
	testenv.Must(t, err)
	defer e.Close()
	bell, err := EventFD()
	testenv.Must(t, err)
	defer unix.Close(bell)
	testenv.Must(t, e.Add(bell, In, 7, 8))
	events := make([]Ready, 4)
	for _, coarse := range []bool{false, true} {
		e.coarse = coarse
		for _, limit := range []time.Duration{0, 50 * time.Microsecond, 3 * time.Millisecond} {
			begin := time.Now()
			got, err := e.Wait(events, limit)
			if took := time.Since(begin); err != nil || len(got) != 0 || took < limit {
				t.Errorf("%v: %v events, %v, after %v", limit, got, err, took)
			}
		}
		Ring(bell)
		for _, limit := range []time.Duration{0, time.Hour, -1} {
			if got, err := e.Wait(events, limit); err != nil || len(got) != 1 || got[0].Fd != 7 || got[0].Pad != 8 {
				t.Errorf("%v: %v, %v", limit, got, err)
			}
		}
		Hear(bell)
	}
	Ring(bell)
	testenv.Must(t, e.Change(bell, In|Edge, 9, 9))
	for n, want := range []int{1, 0} {
		if got, err := e.Wait(events, 0); err != nil || len(got) != want {
			t.Errorf("%d: %v, %v", n, got, err)
		}
	}
	e.Remove(bell)
	Ring(bell)
	if got, err := e.Wait(events, 0); err != nil || len(got) != 0 {
		t.Errorf("removed: %v, %v", got, err)
	}
}

// TestEpollWithoutPwait2 checks an old kernel, and an old seccomp profile.
func TestEpollWithoutPwait2(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"kernel": unix.ENOSYS, "profile": unix.EPERM} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, 0) {
				return
			}
			testenv.Refuse(t, errno, unix.SYS_EPOLL_PWAIT2)
			e, err := NewEpoll()
			testenv.Must(t, err)
			begin := time.Now()
			if got, err := e.Wait(make([]Ready, 1), time.Millisecond); err != nil || len(got) != 0 || !e.coarse || time.Since(begin) < time.Millisecond {
				t.Errorf("%v, %v, %v", got, err, e.coarse)
			}
		})
	}
}
