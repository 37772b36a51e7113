// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gatewayinit/gatewayctl/needle"
)

const maxScan = 64 << 20 // bytes of one file

// scan is one search, with counts that show that it looked at something.
type scan struct {
	token                 *needle.Set
	files, denied, leaks  int
	bytes                 int64
	processes, foreignEnv int
}

// scanToken searches what this user can read for a token given on stdin. Exit
// code: 0 nothing found, 3 found, 1 could not search.
func scanToken(dirs []string) error {
	data, err := io.ReadAll(io.LimitReader(os.Stdin, 1024))
	if err != nil {
		return err
	}
	token, err := needle.New(string(bytes.TrimSpace(data)))
	if err != nil {
		return fmt.Errorf("cannot use stdin: %w", err)
	}
	if len(dirs) == 0 {
		dirs = []string{"/"}
	}
	s := &scan{token: token}
	for _, dir := range dirs {
		if err := s.tree(dir); err != nil {
			return err
		}
	}
	s.proc()
	fmt.Printf("scanned files=%d bytes=%d denied=%d processes=%d foreign-environ=%d leaks=%d\n", s.files, s.bytes, s.denied, s.processes, s.foreignEnv, s.leaks)
	if s.leaks > 0 {
		return exitCode(3)
	}
	return nil
}

func (s *scan) tree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			s.denied++
			return nil
		case path == "/proc" || path == "/sys":
			return fs.SkipDir
		case e.Type().IsRegular():
			s.file(path)
		}
		// Names can leak too.
		s.judge(path, []byte(e.Name()))
		return nil
	})
}

// proc looks at each process: its environment, command line, and the regular
// files behind its descriptors. Pipes are left alone: reading would take from them.
func (s *scan) proc() {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	self := os.Getpid()
	for _, dir := range dirs {
		if dir == fmt.Sprintf("/proc/%d", self) {
			continue
		}
		s.processes++
		var st syscall.Stat_t
		foreign := syscall.Stat(dir, &st) == nil && int(st.Uid) != os.Getuid()
		for _, name := range []string{"environ", "cmdline", "comm", "auxv"} {
			if s.file(dir+"/"+name) && name == "environ" && foreign {
				s.foreignEnv++
			}
		}
		fds, _ := filepath.Glob(dir + "/fd/*")
		for _, fd := range fds {
			if info, err := os.Stat(fd); err == nil && info.Mode().IsRegular() {
				s.file(fd)
			}
		}
	}
}

// file searches one; it tells whether it could be read.
func (s *scan) file(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.denied++
		return false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxScan))
	if err != nil {
		s.denied++
		return false
	}
	s.files++
	s.bytes += int64(len(data))
	s.judge(path, data)
	return true
}

func (s *scan) judge(path string, data []byte) {
	if at := s.token.Find(data); at >= 0 {
		s.leaks++
		fmt.Printf("leak: %s at %d\n", path, at)
	}
}
