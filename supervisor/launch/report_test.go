// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestReadReport checks reports of a hostile process of the target's user, which may
// write anything or hold the pipe open.
func TestReadReport(t *testing.T) {
	died, spec := &Failure{Step: StepDied}, &Failure{Step: StepSpec}
	for name, c := range map[string]struct {
		text string
		open bool // the write end stays open
		want *Failure
	}{
		"target-runs":           {Ready, false, nil},
		"killed":                {"", false, died},
		"stopped":               {"", true, &Failure{StepDied, syscall.ETIMEDOUT}},
		"ready-and-held-open":   {Ready, true, nil},
		"failed":                {"chdir 2\n", false, &Failure{StepDir, syscall.ENOENT}},
		"failed-and-held-open":  {"chdir 2\n", true, &Failure{StepDir, syscall.ENOENT}},
		"exec-after-ready":      {Ready + "exec 8\n", false, &Failure{StepExec, syscall.ENOEXEC}},
		"token-failed":          {"token-failed 13\n", false, &Failure{StepTokenFailed, syscall.EACCES}},
		"token-changed":         {"token-changed 0\n", false, &Failure{StepTokenChanged, 0}},
		"terminal":              {"terminal 1\n", false, &Failure{StepTerminal, syscall.EPERM}},
		"limits":                {"limits 1\n", false, &Failure{StepLimits, syscall.EPERM}},
		"largest-errno":         {"exec 4095\n", false, &Failure{StepExec, 4095}},
		"errno-too-large":       {"exec 4096\n", false, spec},
		"negative-errno":        {"exec -2\n", false, spec},
		"no-errno":              {"exec\n", false, spec},
		"unknown-step":          {"sudo 2\n", false, spec},
		"died-is-never-sent":    {"died 0\n", false, spec},
		"two-lines":             {"exec 2\nexec 2\n", false, spec},
		"trailing-garbage":      {"exec 2 x\n", false, spec},
		"ready-twice":           {Ready + Ready, false, spec},
		"garbage":               {"\x00\xff\x1b[31m", false, spec},
		"endless":               {strings.Repeat("exec 2 ", 500), true, spec},
		"longest":               {"exec 2" + strings.Repeat(" ", maxReport), false, spec},
		"newline-only":          {"\n", false, spec},
		"failure-without-a-end": {"exec 2", false, &Failure{StepExec, syscall.ENOENT}},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			testenv.Must(t, err)
			defer r.Close()
			defer w.Close()
			_, err = w.WriteString(c.text)
			testenv.Must(t, err)
			limit := time.Minute
			if c.open {
				limit = 20 * time.Millisecond
			} else {
				w.Close()
			}
			_, err = readReport(r, limit)
			var got *Failure
			if errors.As(err, &got); (err == nil) != (c.want == nil) || err != nil && *got != *c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	f := &Failure{StepExec, syscall.ENOENT}
	if !errors.Is(f, fs.ErrNotExist) || !errors.Is(f, syscall.ENOENT) || f.Error() != "exec: no such file or directory" {
		t.Errorf("got %q", f)
	}
	f = &Failure{Step: StepDied}
	if errors.Unwrap(f) != nil || f.Error() != "died" {
		t.Errorf("got %q", f)
	}
}

// FuzzParseReport checks that an accepted report is one of the closed set, and the
// line that a re-exec child would have sent for it.
func FuzzParseReport(f *testing.F) {
	for _, s := range []string{"exec 2\n", "token-changed 0\n", "spec 4095", "exec 02\n", "exec +2\n", "", "\n"} {
		f.Add(s)
	}
	known := map[Step]bool{StepSpec: true, StepLimits: true, StepDir: true, StepTokenFailed: true, StepTokenChanged: true, StepTerminal: true, StepExec: true}
	f.Fuzz(func(t *testing.T, line string) {
		got := parseReport(line)
		if !known[got.Step] || got.Errno > 4095 {
			t.Fatalf("%q became %+v", line, got)
		}
		if again := parseReport(got.Encode()); *again != *got {
			t.Errorf("%+v was sent as %q and became %+v", got, got.Encode(), again)
		}
		if *got != (Failure{Step: StepSpec}) && !strings.HasPrefix(line, fmt.Sprintf("%s ", got.Step)) {
			t.Errorf("%q became %+v", line, got)
		}
	})
}

// TestReadSpec checks orders, which are read with a bound although PID 1 writes them.
func TestReadSpec(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		bad  bool
	}{
		"good":      {`{"args":1,"umask":7,"oom_adj":200}` + "\x00/\x00a", false},
		"empty":     {"", true},
		"no-json":   {"argv", true},
		"cut":       {`{"args":1`, true},
		"too-large": {`{"args":1}` + "\x00/\x00" + strings.Repeat("a", maxOrders+maxTexts), true},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/spec"
			testenv.Must(t, os.WriteFile(path, []byte(c.text), 0o600))
			f, err := os.Open(path)
			testenv.Must(t, err)
			defer f.Close()
			s, err := ReadSpec(f)
			if (err != nil) != c.bad || err == nil && (s.Argv[0] != "a" || s.Umask != 7 || s.OOMAdj != 200 || s.Token != nil) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}
