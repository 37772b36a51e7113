// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// sample is a record with every optional part present.
func sample() Record {
	at := time.Date(2026, 11, 24, 8, 0, 0, 123456789, time.UTC)
	return Record{
		Schema: Schema, Version: "1.0.0", UpdatedAt: at, Init: Process{PID: 1, Start: 100}, StartedAt: at,
		RuntimeDir: "/run/gateway-init", State: Running, Goal: GoalRun, Since: at,
		Gateway: Gateway{Process: Process{PID: 34, Start: 4711}, UID: 1001, GID: 1001, Port: 18789, StartedAt: &at, ProvenAt: &at, Enabled: true},
		Health:  Health{State: Serving, Limit: 4, At: &at},
		Proof: Proof{Child: Held, Listener: Held, Ready: Held, Auth: NotAvailable, At: &at,
			Foreign: []Listener{{"[::1]:18789", 1000, 77}}},
		Restarts: 2, Crashes: 1, Starts: Starts{First: 1, Exited: 3}, Refused: Refused{Malformed: 4},
		LastExit:    &Exit{PID: 12, Code: 0, Text: "as asked", At: at, Requested: true, Proven: true},
		Backoff:     &Waiting{Until: at, DelayMS: 200, Streak: 1},
		Request:     &Request{"01234567", "restart", "proving", at, &at},
		LastRequest: &LastRequest{"01234567", "restart", "complete ok 12 34", at},
		Command:     &Child{Name: "command", State: "running", PID: 20, UID: 1000},
		Sidecars:    []Child{{Name: "log", State: "backoff"}, {Name: "pair", State: "done"}},
		Token:       Token{Path: "/run/gateway-init/gateway-token", UID: 1001, GID: 1001, Mode: "0400", Dev: 1, Inode: 2, MintedAt: at, Generation: 1},
		Separation:  "uid", Hardening: []Hardening{},
	}
}

func TestDecode(t *testing.T) {
	good, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("the sample does not contain %s", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	tests := map[string]struct {
		data []byte
		want error
	}{
		"good":               {good, nil},
		"unknown-member":     {swap(`{"schema":1`, `{"later":[1],"schema":1`), nil},
		"other-schema":       {[]byte(`{"schema":2,"state":7}`), ErrSchema},
		"no-schema":          {[]byte(`{}`), ErrSchema},
		"empty":              {nil, errInvalid},
		"not-json":           {[]byte("v1"), errInvalid},
		"trailing":           {append(bytes.Clone(good), '{'), errInvalid},
		"unknown-state":      {swap(`"state":"running"`, `"state":"fine"`), errInvalid},
		"unknown-goal":       {swap(`"goal":"run"`, `"goal":""`), errInvalid},
		"unknown-health":     {swap(`"state":"serving"`, `"state":"ok"`), errInvalid},
		"unknown-proof":      {swap(`"ready":"held"`, `"ready":"yes"`), errInvalid},
		"unknown-stage":      {swap(`"stage":"proving"`, `"stage":"x"`), errInvalid},
		"unknown-child":      {swap(`"state":"backoff","pid":0`, `"state":"gone","pid":0`), errInvalid},
		"unknown-separation": {swap(`"separation":"uid"`, `"separation":"gid"`), errInvalid},
		"negative-pid":       {swap(`"pid":34`, `"pid":-1`), errInvalid},
		"negative-child-pid": {swap(`"pid":20`, `"pid":-1`), errInvalid},
		"negative-starts":    {swap(`"exited":3`, `"exited":-3`), errInvalid},
		"negative-refused":   {swap(`"malformed":4`, `"malformed":-4`), errInvalid},
		"negative-failed":    {swap(`"limit":4,"failed":0`, `"limit":4,"failed":-1`), errInvalid},
		"no-init":            {swap(`"init":{"pid":1`, `"init":{"pid":0`), errInvalid},
		"wrong-type":         {swap(`"restarts":2`, `"restarts":"2"`), errInvalid},
		"port-too-large":     {swap(`"port":18789`, `"port":70000`), errInvalid},
		"too-large":          {append(bytes.Repeat([]byte(" "), maxSize), good...), errInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(test.data); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("Decode = %v, want %v", err, test.want)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	tests := map[string]func(*Record){
		"state":  func(r *Record) { r.State = "" },
		"schema": func(r *Record) { r.Schema = 0 },
		"size":   func(r *Record) { r.Detail = strings.Repeat("x", maxSize) },
		"year":   func(r *Record) { r.Since = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			r := sample()
			spoil(&r)
			if _, err := Encode(r); !errors.Is(err, errInvalid) {
				t.Errorf("Encode = %v, want ErrInvalid", err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	good, _ := Encode(sample())
	me := uint32(os.Geteuid())
	tests := map[string]struct {
		plant func(t *testing.T, file string)
		uid   uint32
		want  error
	}{
		"good":    {func(t *testing.T, file string) { write(t, file, good, 0o600) }, me, nil},
		"missing": {func(t *testing.T, file string) {}, me, fs.ErrNotExist},
		"mode":    {func(t *testing.T, file string) { write(t, file, good, 0o644) }, me, fsafe.ErrUnsafe},
		"owner":   {func(t *testing.T, file string) { write(t, file, good, 0o600) }, me + 1, fsafe.ErrUnsafe},
		"link": {func(t *testing.T, file string) {
			write(t, file+".real", good, 0o600)
			must(t, os.Symlink(file+".real", file))
		}, me, fsafe.ErrUnsafe},
		"second-link": {func(t *testing.T, file string) {
			write(t, file, good, 0o600)
			must(t, os.Link(file, file+".2"))
		}, me, fsafe.ErrUnsafe},
		"fifo":      {func(t *testing.T, file string) { must(t, syscall.Mkfifo(file, 0o600)) }, me, fsafe.ErrUnsafe},
		"directory": {func(t *testing.T, file string) { must(t, os.Mkdir(file, 0o600)) }, me, fsafe.ErrUnsafe},
		"too-large": {func(t *testing.T, file string) { write(t, file, make([]byte, maxSize+1), 0o600) }, me, fsafe.ErrTooLarge},
		"garbage":   {func(t *testing.T, file string) { write(t, file, []byte("x"), 0o600) }, me, errInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			test.plant(t, filepath.Join(path, Name))
			dir, err := os.Open(path)
			must(t, err)
			defer dir.Close()
			got, err := Read(dir, test.uid)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("Read = %v, want %v", err, test.want)
			}
			if err == nil && got.Gateway.PID != 34 {
				t.Errorf("pid %d, want 34", got.Gateway.PID)
			}
		})
	}
}

// FuzzDecode checks that an accepted record encodes, and decodes to the same again.
func FuzzDecode(f *testing.F) {
	good, _ := Encode(sample())
	f.Add(good)
	f.Add([]byte(`{"schema":1,"state":"stopped","goal":"stop","health":{"state":"unknown"},"init":{"pid":1},"separation":"none"}`))
	f.Add([]byte(`{"schema":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		first, err := Encode(r)
		if err != nil {
			// The text may have been shorter than its canonical form (an escaped
			// rune, omitted members). Only then may the record be too large.
			if strings.Contains(err.Error(), "limit") {
				return
			}
			t.Fatalf("accepted, but does not encode: %v", err)
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("encoded, but does not decode: %v", err)
		}
		if second, _ := Encode(again); !bytes.Equal(first, second) {
			t.Fatalf("changed by a round trip:\n%s%s", first, second)
		}
	})
}

func write(t *testing.T, file string, data []byte, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(file, data, mode))
	must(t, os.Chmod(file, mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadWhileReplaced checks that a replacement is never taken for an attack.
func TestReadWhileReplaced(t *testing.T) {
	path := t.TempDir()
	dir, err := os.Open(path)
	must(t, err)
	defer dir.Close()
	data, _ := Encode(sample())
	must(t, fsafe.Replace(dir, Name, data, 0o600))
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-done:
				ended <- nil
				return
			default:
			}
			if err := fsafe.Replace(dir, Name, data, 0o600); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 2000 {
		if _, err := Read(dir, uint32(os.Geteuid())); err != nil {
			t.Errorf("Read: %v", err)
			break
		}
	}
	close(done)
	must(t, <-ended)
}
