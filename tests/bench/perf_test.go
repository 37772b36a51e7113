// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// ringOf returns the bytes of a ring with these records, and their length.
func ringOf(records ...[2]uint64) ([]byte, uint64) {
	var data []byte
	for _, r := range records {
		data = binary.NativeEndian.AppendUint32(data, uint32(r[0]))
		data = binary.NativeEndian.AppendUint16(data, 0)
		data = binary.NativeEndian.AppendUint16(data, 2*headerSize)
		data = binary.NativeEndian.AppendUint64(data, r[1])
	}
	return append(data, make([]byte, largestRecord)...), uint64(len(data))
}

func TestEachRecord(t *testing.T) {
	const event, other, lost = unix.PERF_RECORD_SAMPLE, unix.PERF_RECORD_EXIT, unix.PERF_RECORD_LOST
	data, head := ringOf([2]uint64{event, 7}, [2]uint64{other, 1}, [2]uint64{event, 5})
	var got sample
	add := func(kind uint32, body []byte) {
		if kind == event {
			got = append(got, int64(binary.NativeEndian.Uint64(body)))
		}
	}
	if err := eachRecord(data, head, add); err != nil || !slices.Equal(got, sample{7, 5}) {
		t.Errorf("%v, %v", got, err)
	}
	if got.until(5) != 1 || got.until(7) != 2 || got.until(4) != 0 {
		t.Errorf("until: %d %d %d", got.until(5), got.until(7), got.until(4))
	}
	full, end := ringOf([2]uint64{event, 7})
	gone, goneEnd := ringOf([2]uint64{lost, 3})
	for name, test := range map[string]struct {
		data []byte
		head uint64
	}{
		"full":     {full[:end], end},
		"lost":     {gone, goneEnd},
		"cut":      {data, head - 1},
		"no-sizes": {make([]byte, 96), 16},
	} {
		if err := eachRecord(test.data, test.head, add); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseTask(t *testing.T) {
	var body []byte
	for _, id := range []uint32{20, 10, 21, 11} {
		body = binary.NativeEndian.AppendUint32(body, id)
	}
	body = binary.NativeEndian.AppendUint64(body, 99)
	if got, ok := parseTask(unix.PERF_RECORD_EXIT, body); !ok || got != (task{true, 20, 10, 99}) {
		t.Errorf("%v, %v", got, ok)
	}
	if got, ok := parseTask(unix.PERF_RECORD_FORK, body); !ok || got.exit {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := parseTask(unix.PERF_RECORD_COMM, body); ok {
		t.Error("took another record")
	}
	if _, ok := parseTask(unix.PERF_RECORD_FORK, body[:23]); ok {
		t.Error("took a short record")
	}
}

func TestLifetime(t *testing.T) {
	const parent, worker, stranger = 10, 20, 30
	forked := task{false, worker, parent, 100}
	thread := task{false, parent, parent, 50} // of PID 1 itself
	tests := map[string]struct {
		tasks   []task
		want    int64
		refused bool
	}{
		"one-thread":   {[]task{forked, {true, worker, parent, 140}}, 40, false},
		"two-threads":  {[]task{{true, worker, parent, 150}, {true, worker, parent, 140}, forked}, 50, false},
		"own-thread":   {[]task{thread, forked, {true, worker, parent, 140}, {true, parent, 1, 160}}, 40, false},
		"stranger":     {[]task{{false, stranger, 1, 90}, forked, {true, worker, parent, 140}, {true, stranger, 1, 170}}, 40, false},
		"first-child":  {[]task{{false, stranger, parent, 145}, forked, {true, worker, parent, 140}}, 40, false},
		"no-worker":    {[]task{thread, {true, stranger, 1, 170}}, 0, true},
		"did-not-exit": {[]task{forked}, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := lifetime(test.tasks, parent); got != test.want || (err != nil) != test.refused {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
}

func TestEnded(t *testing.T) {
	record := "\x10\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		text string
		want int64
	}{
		"none":   {`{"event":"boot","text":"gc 1 @"}` + "\n" + record, 0},
		"two":    {"gc 1 @0.003s 4%: ...\n{}\ngc 2 @0.004s 5%: ... (forced)\n" + record, 2},
		"after":  {"gc 1 @0.003s\n" + record + "gc 2 @0.004s\n", 1},
		"nobody": {"", 0},
	} {
		if got := ended([]byte(test.text)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
