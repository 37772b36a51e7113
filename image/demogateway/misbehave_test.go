// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

func TestLoadMisbehaviour(t *testing.T) {
	files := map[string]string{misbehaveFile: `{"exit_code":3,"drain":"2s"}`, "/other": `{"exit_code":4}`, "/broken": `{`}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	for name, c := range map[string]struct {
		variable string
		code     int
		drain    time.Duration
		bad      bool
	}{
		"file-alone":         {"", 3, 2 * time.Second, false},
		"variable-over-file": {`{"exit_code":5}`, 5, 2 * time.Second, false},
		"another-file":       {"/other", 4, 0, false},
		"missing-file":       {"/missing", 0, 0, false},
		"broken-file":        {"/broken", 0, 0, true},
		"unknown-member":     {`{"exit_kode":5}`, 0, 0, true},
		"unknown-word":       {`{"accept":"maybe"}`, 0, 0, true},
		"negative-duration":  {`{"drain":"-1s"}`, 0, 0, true},
		"number-as-duration": {`{"drain":1}`, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := loadMisbehaviour(c.variable, read)
			if (err != nil) != c.bad {
				t.Fatalf("error %v, want one: %t", err, c.bad)
			}
			if !c.bad && (m.ExitCode != c.code || time.Duration(m.Drain) != c.drain) {
				t.Errorf("got %+v", m)
			}
		})
	}
	_, err := loadMisbehaviour("", func(string) ([]byte, error) { return nil, errors.New("input/output error") })
	if err == nil {
		t.Error("a file that cannot be read is no good gateway")
	}
}

// A merge that is refused changes nothing, and what it lacks stays.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"exit_code":1,"deaf_after":"3s"}`))
	f.Add([]byte(`{"answer":"page","status":503}`))
	f.Add([]byte(`{"token_mode":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		old := misbehaviour{ExitCode: 42, Accept: acceptHang}
		m := old
		err := m.merge(data)
		if err != nil && m != old {
			t.Errorf("refused (%v), yet changed to %+v", err, m)
		}
		if err == nil && m.validate() != nil {
			t.Errorf("accepted what is not valid: %+v", m)
		}
	})
}
