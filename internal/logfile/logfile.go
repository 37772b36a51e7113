// SPDX-License-Identifier: Apache-2.0

// Package logfile keeps the newest output of a program in a file of bounded size. A
// file system that is full costs output and never a wait.
//
// A log has two files of half its size. When the newer one is full, it takes the name of
// the older one, whose content is lost.
package logfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/logring"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// Names of the newer files under the runtime directory (docs/logging.md).
const (
	Init     = "init.log"
	Gateway  = "gateway.log"
	Sidecars = "sidecars.log"
)

// oldSuffix marks the older file of a log.
const oldSuffix = ".old"

// Names returns the names of all logs.
func Names() []string { return []string{Init, Gateway, Sidecars} }

// RemoveAll removes the logs of an earlier run from dir, as fsafe.RemoveLeftover does.
func RemoveAll(dir *os.File) error {
	for _, name := range Names() {
		for _, name := range []string{name, name + oldSuffix} {
			if err := fsafe.RemoveLeftover(dir, name, uint32(os.Geteuid())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Log is a log that is written. Several goroutines may use it.
type Log struct {
	dir   *os.File
	name  string
	half  int    // size of one file in bytes
	spare uint64 // free bytes of the file system that are for others

	mu      sync.Mutex
	file    *os.File // nil: it could not be made
	size    int
	midLine bool // the last line has no end yet
	lost    int  // lines that had no room, and that no line mentions yet
}

// New makes the log name in dir, which the caller keeps. It takes at most size bytes, and
// leaves spare bytes of the file system free. The files have mode 0600.
func New(dir *os.File, name string, size int, spare uint64) (*Log, error) {
	l := &Log{dir: dir, name: name, half: size / 2, spare: spare}
	return l, l.open()
}

func (l *Log) open() (err error) {
	l.size, l.midLine = 0, false
	l.file, err = fsafe.WriteNew(l.dir, l.name, nil, 0o600, nil)
	return err
}

// Write appends data, which never fails. Lines without room are dropped and counted. The
// next write that has room adds a line with their number.
func (l *Log) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 && l.put(l.dropped()) {
		l.lost = 0
	}
	if l.lost > 0 || !l.put(data) {
		l.lost += max(1, bytes.Count(data, []byte("\n")))
	}
	return len(data), nil
}

// dropped returns the line about the dropped lines.
func (l *Log) dropped() []byte {
	line := logring.DroppedLine(l.lost)
	if l.midLine {
		line = append([]byte("\n"), line...)
	}
	return line
}

// put appends data and reports whether it had room.
func (l *Log) put(data []byte) bool {
	switch {
	case len(data) == 0:
		return true
	case len(data) > l.half:
		return false
	case l.file == nil, l.size+len(data) > l.half:
		l.cut()
	}
	needs := pages(l.size+len(data)) - pages(l.size)
	if l.file == nil || needs > 0 && !l.hasRoom(needs) {
		return false
	}
	n, err := l.file.Write(data)
	l.size += n
	if n > 0 {
		l.midLine = data[n-1] != '\n'
	}
	return err == nil
}

// cut begins a new file. If the old one cannot be renamed, it is lost.
func (l *Log) cut() {
	if l.file != nil {
		l.file.Close()
		_ = fsafe.Rename(l.dir, l.name, l.name+oldSuffix)
	}
	_ = l.open() // if it failed, the next write tries again
}

// hasRoom reports whether n more pages leave enough space for others. A tmpfs without a
// bound has room.
func (l *Log) hasRoom(n int) bool {
	free, total, err := sys.Space(l.dir)
	return err != nil || total == 0 || free >= l.spare+uint64(n*page)
}

// page is the unit in bytes in which a file takes space.
const page = 4 << 10

// pages returns the number of pages of a file of that size.
func pages(size int) int { return (size + page - 1) / page }

// chunk is the size of one read from a pipe in bytes. After each burst of reads Drain rests.
// PID 1 runs one goroutine at a time, and Go's runtime looks for its other input first of all
// when none can run. So a flood of 60 MB a second delays nothing else. Reads are counted, not
// bytes, because a writer can make each read return one byte (O_DIRECT, pipe(2)).
const (
	chunk = 4 << 10
	burst = 16
	rest  = time.Millisecond
)

// Drain appends all that comes from the pipe r, until r is closed. It waits in the runtime's
// poller. An error of a read is the writer's work: one that puts a page of a file into the
// pipe (splice(2)), and then makes that page unreadable. No read after it succeeds, so Drain
// ends, and the writer waits for room in the pipe.
func (l *Log) Drain(r *os.File) {
	buf := make([]byte, min(chunk, max(l.half, 1))) // what is longer than a file has no room
	for reads := 1; ; reads++ {
		n, err := r.Read(buf)
		l.Write(buf[:n])
		switch {
		case errors.Is(err, os.ErrClosed), errors.Is(err, io.EOF):
			return
		case err != nil:
			l.Write([]byte("\ngateway-init: cannot read more of this output: " + err.Error() + "\n"))
			return
		}
		if reads%burst == 0 {
			time.Sleep(rest)
		}
	}
}
