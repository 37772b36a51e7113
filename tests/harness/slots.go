// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// SlotsVariable is the environment variable with the number of tests that have
// containers at a time, in all packages together. Packages run in parallel, and
// more tests slow each other down without a gain.
const SlotsVariable = "GATEWAY_TEST_SLOTS"

// slotHolders are the tests of this process that have a slot. An entry is nil while
// its test waits for the slot.
var slotHolders = struct {
	sync.Mutex
	names map[string]*os.File
}{names: map[string]*os.File{}}

// Slot waits until a slot is free and holds it to the end of the test. A test has
// one slot for all its containers and those of its subtests. A test that has one
// never waits, so no two tests wait for each other.
func Slot(t testing.TB) {
	t.Helper()
	name := t.Name()
	slotHolders.Lock()
	defer slotHolders.Unlock()
	for at := name; at != "."; at = path.Dir(at) {
		if _, held := slotHolders.names[at]; held {
			return
		}
	}
	slotHolders.names[name] = nil
	slotHolders.Unlock()
	slot, err := waitSlot()
	slotHolders.Lock()
	if err != nil {
		delete(slotHolders.names, name)
		t.Fatal(err)
	}
	slotHolders.names[name] = slot
	t.Cleanup(func() {
		slotHolders.Lock()
		defer slotHolders.Unlock()
		delete(slotHolders.names, name)
		slot.Close()
	})
}

// slots returns the number of slots.
func slots() (int, error) {
	text := os.Getenv(SlotsVariable)
	if text == "" {
		return 3 + runtime.NumCPU(), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s=%s is no number of slots", SlotsVariable, text)
	}
	return n, nil
}

// slotsDir makes the directory of the slots in parent, or takes the present one. It
// refuses another user's, because that user could choose which files root makes.
func slotsDir(parent string) (string, error) {
	dir := filepath.Join(parent, fmt.Sprintf("gateway-init-slots-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		return "", fmt.Errorf("%s is not a directory that only uid %d can open: remove it", dir, os.Getuid())
	}
	return dir, nil
}

// waitSlot locks one of the files that are the slots. The kernel unlocks it when
// its holder exits.
func waitSlot() (*os.File, error) {
	n, err := slots()
	if err != nil {
		return nil, err
	}
	dir, err := slotsDir("/tmp") // not TMPDIR, because all processes need the same
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		for i := range n {
			f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(i)), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				return nil, err
			}
			if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
				return f, nil
			}
			f.Close()
		}
		<-tick.C
	}
}
