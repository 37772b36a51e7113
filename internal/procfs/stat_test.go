// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// statLine returns a stat line as the kernel prints it (fs/proc/array.c).
func statLine(st Stat) string {
	return fmt.Sprintf("%d (%s) %c %d %d %d 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 %d 0 %d 1 2 3\n",
		st.PID, st.Comm, st.State, st.PPID, st.PGRP, st.Session, st.Threads, st.Start)
}

// TestParseStat checks names, which a process chooses. One that called itself "a) R 1
// 1 1" once made a parser read another parent and another start time.
func TestParseStat(t *testing.T) {
	base := Stat{PID: 42, Comm: "node", State: 'S', PPID: 1, PGRP: 42, Session: 42, Threads: 7, Start: 123456}
	for name, comm := range map[string]string{
		"plain":         "node",
		"empty":         "",
		"spaces":        "a b c",
		"parentheses":   "((a) b)) ((",
		"forged-fields": "x) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1",
		"newline":       "a\n43 (b) R",
		"not-text":      "\xff\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			want := base
			want.Comm = comm
			if got, err := parseStat([]byte(statLine(want))); err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	released := base
	released.PGRP, released.Session = -1, -1
	if got, err := parseStat([]byte(statLine(released))); err != nil || got != released {
		t.Errorf("got %+v, %v; want %+v", got, err, released)
	}
}

// TestParseStatRefuses refuses other text. A field that reads as 0 is a guess.
func TestParseStatRefuses(t *testing.T) {
	good := statLine(Stat{PID: 42, Comm: "node", State: 'S', PPID: 1, PGRP: 42, Session: 42, Threads: 7, Start: 99})
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, line := range map[string]string{
		"empty":            "",
		"no-name":          swap("(node)", "node"),
		"half-a-name":      swap("node)", "node"),
		"turned-name":      swap("(node)", ")node("),
		"no-pid":           swap("42 (", "("),
		"pid-zero":         swap("42 (", "0 ("),
		"pid-negative":     swap("42 (", "-42 ("),
		"pid-signed":       swap("42 (", "+42 ("),
		"pid-octal":        swap("42 (", "042 ("),
		"pid-huge":         swap("42 (", "4294967338 ("),
		"long-state":       swap(" S ", " SS "),
		"state-is-a-digit": swap(" S ", " 1 "),
		"ppid-not-number":  swap(" S 1 ", " S x "),
		"ppid-negative":    swap(" S 1 ", " S -1 "),
		"start-overflows":  swap(" 99 ", " 18446744073709551616 "),
		"start-missing":    good[:strings.Index(good, " 99 ")],
		"too-long":         swap("node", strings.Repeat("n", maxStat)),
	} {
		t.Run(name, func(t *testing.T) {
			if st, err := parseStat([]byte(line)); err == nil {
				t.Errorf("accepted as %+v", st)
			}
		})
	}
}

// TestReadStat checks the kernel's own lines, ours and those of every other process.
func TestReadStat(t *testing.T) {
	st, err := ReadStat(os.Getpid())
	testenv.Must(t, err)
	if st.PID != os.Getpid() || st.PPID != os.Getppid() || st.Threads < 1 || st.Start == 0 {
		t.Errorf("got %+v", st)
	}
	entries, err := os.ReadDir("/proc")
	testenv.Must(t, err)
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil {
			continue
		}
		if st, err := ReadStat(pid); err != nil && !errors.Is(err, ErrGone) {
			t.Errorf("pid %d: %+v, %v", pid, st, err)
		}
	}
}

// FuzzParseStat checks that the line of an accepted Stat parses to the same Stat, and
// that no other field depends on the name.
func FuzzParseStat(f *testing.F) {
	base := Stat{PID: 42, Comm: "node", State: 'S', PPID: 1, PGRP: 42, Session: 42, Threads: 7, Start: 99}
	f.Add([]byte(statLine(base)))
	f.Add([]byte("a) R 1 1 1 0 -1 0"))
	if own, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(own)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if st, err := parseStat(data); err == nil {
			if st.PID < 1 || st.PPID < 0 || st.PGRP < -1 || st.Session < -1 || st.Threads < 0 {
				t.Fatalf("accepted %+v", st)
			}
			if again, err := parseStat([]byte(statLine(st))); err != nil || again != st {
				t.Fatalf("%+v came back as %+v, %v", st, again, err)
			}
			if !bytes.Contains(data, []byte("("+st.Comm+")")) {
				t.Fatalf("name %q is not in the line", st.Comm)
			}
		}
		named := base
		if named.Comm = string(data); len(statLine(named)) > maxStat {
			return
		}
		if st, err := parseStat([]byte(statLine(named))); err != nil || st != named {
			t.Fatalf("a name made %+v of %+v, %v", st, named, err)
		}
	})
}
