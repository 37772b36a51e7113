// SPDX-License-Identifier: Apache-2.0

package vfork

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plan is Child with everything that the child needs, as the kernel takes it. The
// child must not allocate, and stores no pointer, which could need the collector.
type plan struct {
	paths    []uintptr // candidates, in order
	argv     []uintptr // NULL at the end
	env      []uintptr
	mask     uint64
	ignored  uint64
	nofile   *unix.Rlimit
	terminal uintptr
	take     bool
	become   bool
	ours     bool
	uid, gid uintptr
	groups   []uint32
	drop     bool
	header   unix.CapUserHeader
	caps     [2]unix.CapUserData
	action   [4]uint64 // struct sigaction
	pgrp     int32
	flags    uintptr // of clone(2)
	pipe     uintptr // where the child writes its report
	report   report
}

// report is the answer of a child that failed: the step, its errno, and which of the
// candidates it was about.
type report struct{ step, errno, path uint32 }

// block is memory to which the plan holds addresses as numbers. It is allocated as a
// whole, because an environment can have tens of thousands of texts.
type block []byte

// newBlock returns a block with room for the texts of lists.
func newBlock(lists ...[]string) (block, error) {
	size := 0
	for _, list := range lists {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return nil, &Error{Step: "exec", Errno: unix.EINVAL}
			}
			size += len(s) + 1
		}
	}
	return make(block, 0, size), nil
}

// list puts texts into b, and returns their addresses as a NULL-terminated array.
func (b *block) list(texts []string) []uintptr {
	list := make([]uintptr, 0, len(texts)+1)
	for _, s := range texts {
		at := len(*b)
		*b = append(append(*b, s...), 0)
		list = append(list, uintptr(unsafe.Pointer(&(*b)[at])))
	}
	return append(list, 0)
}

func (c Child) plan(paths []string) (p *plan, keep block, err error) {
	if keep, err = newBlock(c.Argv, c.Env, paths); err != nil {
		return nil, nil, err
	}
	p = &plan{
		mask: c.Mask, ignored: c.Ignored, nofile: c.Nofile, terminal: uintptr(c.Terminal), take: c.Terminal >= 0, drop: c.DropCaps,
		header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
		argv:   keep.list(c.Argv), env: keep.list(c.Env), paths: keep.list(paths)[:len(paths)],
	}
	if u := c.User; u != nil {
		p.become, p.ours, p.uid, p.gid, p.groups = true, u.Ours, uintptr(u.UID), uintptr(u.GID), u.Groups
	}
	return p, keep, nil
}

// candidates returns the files that execvp(3) would try for name, as under other
// inits. The current directory is included if PATH says so. sys.LookPath, for a
// gateway and its agent, takes absolute entries only.
func candidates(name string, env []string) (paths []string) {
	if strings.Contains(name, "/") || name == "" {
		return []string{name}
	}
	list := "/bin:/usr/bin" // where there is no PATH
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = value
			break
		}
	}
	for _, dir := range strings.Split(list, ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, dir+"/"+name)
	}
	return paths
}
