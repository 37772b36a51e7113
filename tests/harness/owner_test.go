// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaverVariable makes TestLeaver leave objects behind and exit in that way.
const leaverVariable = "GATEWAY_TEST_LEAVER"

// TestLeaver is the process of TestRemovedAfterAPanic. By itself it does nothing.
func TestLeaver(t *testing.T) {
	end := os.Getenv(leaverVariable)
	if end == "" {
		return
	}
	c := Start(t, Options{})
	volume, image := NewName(t), NewName(t)
	c.must("volume", "create", volume)
	c.must("tag", DemoImage, image)
	fmt.Printf("left %s %s\n", owning(t).prefix, c.StateDir())
	switch end {
	case "panic":
		panic("the end of a test")
	case "exit":
		os.Exit(3)
	case "kill":
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		self.Kill()
		select {}
	}
}

// TestRemovedAfterAPanic checks that all objects of a test are removed, however it
// ends.
func TestRemovedAfterAPanic(t *testing.T) {
	for _, end := range []string{"panic", "exit", "kill"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestLeaver$", "-test.v")
			cmd.Env = append(os.Environ(), leaverVariable+"="+end)
			out, err := cmd.CombinedOutput()
			_, rest, left := strings.Cut(string(out), "left ")
			var prefix, dir string
			if _, errScan := fmt.Sscan(rest, &prefix, &dir); err == nil || !left || errScan != nil {
				t.Fatalf("it ended with %v: %s", err, out)
			}
			Eventually(t, time.Minute, "nothing of it to be there", func() error {
				for _, list := range [][]string{
					{"ps", "-aq", "--filter", "name=" + prefix},
					{"images", "-q", "--filter", "reference=" + prefix + "*"},
					{"volume", "ls", "-q", "--filter", "name=" + prefix},
				} {
					if r := Engine(t, nil, list...); r.Code != 0 || r.Stdout != "" {
						return fmt.Errorf("%v: %v", list, r)
					}
				}
				if found, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")); err != nil || len(found) != 0 {
					return fmt.Errorf("%v, %w", found, err)
				}
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("%s: %w", dir, err)
				}
				return nil
			})
		})
	}
}

// TestSlots checks that a test takes one slot for all its containers, and waits for
// the last slot.
func TestSlots(t *testing.T) {
	t.Setenv(SlotsVariable, "1")
	Slot(t) // another package may hold it
	t.Run("below", func(t *testing.T) {
		Slot(t)
		t.Run("deeper", func(t *testing.T) { Slot(t) })
	})
	taken := make(chan *os.File)
	go func() {
		f, err := waitSlot()
		if err != nil {
			t.Error(err)
		}
		taken <- f
	}()
	select {
	case <-taken:
		t.Fatal("two tests have the only slot")
	case <-time.After(10 * pollEvery):
	}
	slotHolders.Lock()
	held := slotHolders.names[t.Name()]
	slotHolders.Unlock()
	if held == nil {
		t.Fatal("the slot is not among the test's")
	}
	held.Close()
	(<-taken).Close()
	for _, text := range []string{"0", "many"} {
		t.Setenv(SlotsVariable, text)
		if _, err := waitSlot(); err == nil {
			t.Errorf("%s slots are accepted", text)
		}
	}
}

// TestSlotsDirRefused checks that a directory that another user could have made is
// refused.
func TestSlotsDirRefused(t *testing.T) {
	for name, plant := range map[string]func(dir string) error{
		"open":    func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) },
		"foreign": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, SandboxUID, 0)) },
		"link":    func(dir string) error { return os.Symlink("/root", dir) },
		"file":    func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			if err := plant(filepath.Join(parent, fmt.Sprintf("gateway-init-slots-%d", os.Getuid()))); err != nil {
				t.Fatal(err)
			}
			if dir, err := slotsDir(parent); err == nil || !strings.Contains(err.Error(), "remove it") {
				t.Errorf("%q, %v", dir, err)
			}
		})
	}
	parent := t.TempDir()
	for range 2 { // first made, then reused
		if _, err := slotsDir(parent); err != nil {
			t.Error(err)
		}
	}
}

// looker is a test whose result can be read.
type looker struct {
	recorder
	undo []func()
}

func (l *looker) Cleanup(f func()) { l.undo = append(l.undo, f) }

func (l *looker) end() []string {
	for _, f := range slices.Backward(l.undo) {
		f()
	}
	return l.errors
}

// TestLook checks that a test fails if it changes a shared container, and only
// then.
func TestLook(t *testing.T) {
	first := Look(t, "look", Options{})
	l := &looker{recorder: recorder{TB: t}}
	second := Look(l, "look", Options{})
	if first.Name != second.Name {
		t.Errorf("two containers for one fixture: %s and %s", first.Name, second.Name)
	}
	calls := []Call{
		{Args: []string{"demotools", "cat"}, Stdin: "in"}, {Args: []string{"demotools", "exit", "7"}}, {Args: []string{"/nowhere"}}, {Args: []string{"/etc"}},
		{Args: []string{"demotools", "die", "9"}}, {Args: []string{"demotools", "repeat", "2", "demotools", "id"}}, {Args: []string{"demotools", "repeat", "2", "demotools", "exit", "7"}},
	}
	results := second.Batch("sandbox", calls...)
	for i, code := range []int{0, 7, 127, 126, 137, 0, 1} {
		if results[i].Code != code {
			t.Errorf("%v: %v, want code %d", calls[i].Args, results[i], code)
		}
	}
	if results[0].Stdout != "in" || strings.Count(results[5].Stdout, "\n") != 2 || !strings.Contains(results[6].Stderr, "call 1: ") {
		t.Errorf("%+v", results)
	}
	if said := l.end(); len(said) != 0 {
		t.Errorf("a test that looks fails: %q", said)
	}
	l = &looker{recorder: recorder{TB: t}}
	Look(l, "changed by "+NewName(t), Options{}).MustCtl("probe")
	if said := l.end(); len(said) != 1 || !strings.Contains(said[0], "it needs its own") {
		t.Errorf("a test that asked for a probe: %q", said)
	}
	l = &looker{recorder: recorder{TB: t}}
	Look(l, "ended by "+NewName(t), Options{}).Stop()
	if said := l.end(); len(said) == 0 {
		t.Error("a test that ended the container does not fail")
	}
}
