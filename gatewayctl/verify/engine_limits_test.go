// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// hung is how long the tests wait for an engine that hangs.
const hung = 200 * time.Millisecond

// named returns the name of the first container that was run.
func named(t *testing.T, lines []string) string {
	t.Helper()
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "run ") })
	if i < 0 {
		t.Fatalf("no container was run: %q", lines)
	}
	_, name, _ := strings.Cut(lines[i], "--name ")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// TestEngineInterrupted checks that a container that does not end is removed, and that
// no other is started. The interrupt ends docker run, which leaves its container.
func TestEngineInterrupted(t *testing.T) {
	f := demo(t)
	f.sums()
	e := fakeEngine(t, f, `case "$1" in run) exec sleep 20;; rm) echo "$4"; exit;; esac`)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, Saved(e, "demo"), f.options)
		done <- err
	}()
	testenv.Eventually(t, "a container is run", func() bool {
		text, _ := os.ReadFile(filepath.Dir(e.path) + "/calls")
		return strings.Contains(string(text), "\nrun ")
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if lines := calls(t, e); len(lines) != 4 || lines[3] != "rm -f -v "+named(t, lines) {
		t.Errorf("the container is not removed: %q", lines)
	}
}

// TestEngineThatHangs checks that each call of an engine has an end, and that the
// message names the call.
func TestEngineThatHangs(t *testing.T) {
	ask := func(times *engineTimes) { times.ask = hung }
	idle := func(times *engineTimes) { times.idle = hung }
	for name, c := range map[string]struct {
		script string
		limit  func(*engineTimes)
		want   string
	}{
		"inspect":         {`case "$1" in image) exec sleep 20;; esac`, ask, "/docker image inspect did not answer within 200ms"},
		"deaf-to-sigterm": {`case "$1" in image) trap "" TERM INT; while :; do sleep 20; done;; esac`, ask, "/docker image inspect did not answer within 200ms"},
		"save":            {`case "$1" in save) exec sleep 20;; esac`, idle, "/docker save wrote nothing for 200ms"},
		"save-in-part":    {`case "$1" in save) head -c 5000 saved; exec sleep 20;; esac`, idle, "/docker save wrote nothing for 200ms"},
		"save-at-end":     {`case "$1" in save) cat saved; exec sleep 20;; esac`, idle, "/docker save wrote nothing for 200ms"},
		"a-grandchild":    {`case "$1" in save) sleep 20 & wait;; esac`, idle, "/docker save wrote nothing for 200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			e := fakeEngine(t, f, c.script)
			c.limit(&e.times)
			r, err := Run(context.Background(), Saved(e, "demo"), f.options)
			if err == nil || !strings.HasPrefix(err.Error(), `cannot read image "demo": /`) || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", r, err, c.want)
			}
		})
	}
}

// TestSlowSaveMayContinue checks that the time of a save begins anew with each byte.
func TestSlowSaveMayContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("idle")
		within, seen, stop := withIdle(context.Background(), time.Minute, cause)
		defer stop()
		r := &watchedReader{strings.NewReader("0123456789"), seen}
		for range 10 {
			time.Sleep(59 * time.Second)
			if _, err := r.Read(make([]byte, 1)); err != nil || within.Err() != nil {
				t.Fatal(err, within.Err())
			}
		}
		time.Sleep(time.Minute)
		if synctest.Wait(); context.Cause(within) != cause {
			t.Errorf("got %v", context.Cause(within))
		}
	})
}

// TestContainerThatHangs checks that a container that does not end is removed after its
// time, that the report says so, and that the other checks are made.
func TestContainerThatHangs(t *testing.T) {
	f := demo(t)
	f.sums()
	e := fakeEngine(t, f, `case "$1" in run) exec sleep 20;; rm) echo "$4"; exit;; esac`)
	e.times.container = hung
	_, checks, r := result(t, Saved(e, "demo"), f.options)
	if c := checks["release"]; r.OK || c.Result != NotAvailable || c.Detail != "gateway-init did not end in its container within 200ms: the container was removed" {
		t.Errorf("got %+v", c)
	}
	lines := calls(t, e)
	if !slices.Contains(lines, "rm -f -v "+named(t, lines)) || checks["init"].Result != Held {
		t.Errorf("called %q, %+v", lines, checks["init"])
	}
}

// TestContainerThatTheEngineMakesLate checks that a container is removed that the engine
// makes only after docker run was killed.
func TestContainerThatTheEngineMakesLate(t *testing.T) {
	f := demo(t)
	f.sums()
	e := fakeEngine(t, f, `case "$1" in run) exec sleep 20;; rm) if [ "$(grep -c ^rm calls)" = 3 ]; then echo "$4"; fi; exit;; esac`)
	e.times.container = hung
	s := Saved(e, "demo").(*engineSource)
	s.contained(context.Background(), 1, 1, initPath)
	lines := calls(t, e)
	if name := named(t, lines); len(lines) != 4 || lines[1] != "rm -f -v "+name || lines[3] != lines[1] {
		t.Errorf("called %q", lines)
	}
}

// TestRemovalHasAnEnd checks that an engine that does not remove a container holds
// nobody up.
func TestRemovalHasAnEnd(t *testing.T) {
	f := demo(t)
	for name, script := range map[string]string{
		"hangs":         `case "$1" in run) exec sleep 20;; rm) exec sleep 20;; esac`,
		"never-removes": `case "$1" in run) exec sleep 20;; rm) exit;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			e := fakeEngine(t, f, script)
			e.times.container = hung
			e.times.removal, e.times.settle = 500*time.Millisecond, 500*time.Millisecond
			s := Saved(e, "demo").(*engineSource)
			if o := s.contained(context.Background(), 1, 1, initPath); o.err == nil || !strings.Contains(o.err.Error(), "did not end in its container within") {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// waiting is a reader whose next byte never comes.
type waiting struct{ asked chan struct{} }

func (w *waiting) Read([]byte) (int, error) {
	close(w.asked)
	select {}
}

// TestInterruptedArchive checks that an interrupt ends the wait for an archive that
// does not come.
func TestInterruptedArchive(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiting{make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, Archive(w), Options{})
		done <- err
	}()
	<-w.asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
