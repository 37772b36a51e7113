package main

import (
	"fmt"
	"os"
	"testing"
)

func TestReadProcStatus(t *testing.T) {
	p, err := readProcStatus(os.Getpid())
	if err != nil || !p.only(uint32(os.Getuid())) || p.state == 'Z' {
		t.Errorf("readProcStatus = %+v, %v", p, err)
	}
	if _, err := readProcStatus(1 << 30); err == nil {
		t.Error("a process that cannot exist was read")
	}
	booting() // whatever PID 1 is here, it must not matter
}

func TestParseProcStatus(t *testing.T) {
	tests := map[string]struct {
		text string
		want procStatus
		ok   bool
	}{
		"good":          {"Name:\tnode\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\n", procStatus{'S', [4]uint32{1, 2, 3, 4}}, true},
		"decoy-in-name": {"Name:\tx\\nUid:\t0\t0\t0\t0\nState:\tZ (zombie)\nUid:\t1\t1\t1\t1\n", procStatus{'Z', [4]uint32{1, 1, 1, 1}}, true},
		"empty":         {"", procStatus{}, false},
		"no-state":      {"Uid:\t1\t1\t1\t1\n", procStatus{}, false},
		"three-uids":    {"State:\tS\nUid:\t1\t1\t1\n", procStatus{}, false},
		"too-large":     {"State:\tS\nUid:\t1\t1\t1\t4294967296\n", procStatus{}, false},
		"negative":      {"State:\tS\nUid:\t1\t1\t1\t-1\n", procStatus{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseProcStatus([]byte(test.text))
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("parseProcStatus = %+v, %v", got, err)
			}
		})
	}
}

// FuzzProcStatus: what is accepted means the same when written as the kernel would.
func FuzzProcStatus(f *testing.F) {
	f.Add([]byte("Name:\tnode\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseProcStatus(text)
		if err != nil {
			return
		}
		again, err := parseProcStatus(fmt.Appendf(nil, "State:\t%s\nUid:\t%d\t%d\t%d\t%d\n", []byte{p.state}, p.uids[0], p.uids[1], p.uids[2], p.uids[3]))
		if err != nil || again != p {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}
