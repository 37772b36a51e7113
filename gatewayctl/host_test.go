// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPatience checks that a user below a foreign PID 1 waits for its own
// supervisor, except with a verb that needs none.
func TestPatience(t *testing.T) {
	w := newFixture(t)
	w.local.EUID, w.local.Owner = 54321, 0
	w.local.Patience = time.Hour
	w.want(w.run("version"), exitOK, "gatewayctl", "")
	w.want(w.run("help"), exitOK, "usage", "")
	w.local.Patience = time.Millisecond
	w.want(w.run("status"), exitRefused, "", "only root may, this is uid 54321")
}

// TestCandidates checks that the first directory with a supervisor's files counts.
// An unsafe directory is an error only if there is no such directory.
func TestCandidates(t *testing.T) {
	w := newFixture(t)
	w.up()
	empty, loose := t.TempDir(), t.TempDir()
	must(t, os.Chmod(loose, 0o777))
	tests := map[string]struct {
		dirs []string
		want func(error) bool
	}{
		"second":          {[]string{"/nowhere", w.path}, func(err error) bool { return err == nil }},
		"empty-first":     {[]string{empty, w.path}, func(err error) bool { return err == nil }},
		"unsafe-first":    {[]string{loose, w.path}, func(err error) bool { return err == nil }},
		"unsafe-only":     {[]string{loose, "/nowhere"}, func(err error) bool { return strings.Contains(err.Error(), "writable by others") }},
		"none":            {[]string{"/nowhere", empty}, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"not-a-directory": {[]string{"/proc/self/stat"}, func(err error) bool { return err != nil }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.local.Defaults = func() []string { return test.dirs }
			dir, err := w.local.OpenRuntime()
			if !test.want(err) {
				t.Errorf("openRuntime = %v", err)
			}
			if err == nil {
				dir.Close()
			}
		})
	}
}
