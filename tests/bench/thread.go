// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread runs functions one after the other on a thread of its own, whose namespaces
// and capabilities differ from ours. Children that it starts inherit them.
type thread struct{ work chan func() }

// newThread starts a thread and prepares it with setup.
func newThread(setup func() error) (*thread, error) {
	t := &thread{make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread exits with the goroutine
		ready <- setup()
		for f := range t.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (t *thread) end() { close(t.work) }

// dockerCapabilities are those that Docker grants by default: 14 of 41.
const dockerCapabilities = 0xa80425fb

// limitCapabilities makes programs that the calling thread executes as root have
// these capabilities. The thread itself keeps its own.
func limitCapabilities() error {
	var data [2]unix.CapUserData
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("cannot read the capabilities: %w", err)
	}
	for i := range data { // root also gets each inheritable one
		data[i].Inheritable = 0
	}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("cannot clear the inheritable capabilities: %w", err)
	}
	for c := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break // the kernel has no more
		}
		if has == 0 || uint64(dockerCapabilities)>>c&1 == 1 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", c, err)
		}
	}
	return nil
}

// pin lets the calling thread, and what it executes, run on the last n CPUs that it
// has.
func pin(n int) error {
	var all, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("cannot read the CPUs: %w", err)
	}
	for cpu := 8 * len(all) * 8; cpu >= 0 && set.Count() < n; cpu-- {
		if all.IsSet(cpu) {
			set.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("cannot use %d CPUs: %w", n, err)
	}
	return nil
}
