// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// path is the search path in all namespaces.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// peer is an init, or a program that takes its place.
type peer struct {
	name    string
	program string // the program of PID 1; "" for no init at all
	before  []string
	scan    bool // s6-svscan, which runs the services of a directory
	inits   bool // it stays as the child's init; gosu only executes
	mute    bool // forwards no signals
}

// Names that tables refer to.
const (
	ours   = "gateway-init"
	tini   = "tini"
	noInit = "no init"
	batch  = 500 // children for one argument of the probe: BATCH in its source
)

func allPeers() []*peer {
	return []*peer{
		{name: noInit},
		{name: ours, program: ours, before: []string{"--"}, inits: true},
		{name: tini, program: tini, before: []string{"--"}, inits: true},
		{name: "dumb-init", program: "dumb-init", before: []string{"--"}, inits: true},
		{name: "catatonit", program: "catatonit", before: []string{"--"}, inits: true},
		{name: "s6-svscan", program: "s6-svscan", scan: true, inits: true, mute: true},
		{name: "gateway-init --user", program: ours, before: []string{"--user", "nobody", "--"}},
		{name: "gosu (no init)", program: "gosu", before: []string{"nobody"}},
		{name: "tini + gosu", program: tini, before: []string{"--", "gosu", "nobody"}},
	}
}

// packages of Debian, by program.
var packages = map[string]string{
	tini: "tini", "dumb-init": "dumb-init", "catatonit": "catatonit", "s6-svscan": "s6", "gosu": "gosu",
}

// needs returns the programs of a peer.
func (p *peer) needs() []string {
	if p.program == "" {
		return nil
	}
	if len(p.before) > 1 && p.before[1] == "gosu" {
		return []string{p.program, "gosu"}
	}
	return []string{p.program}
}

// install installs the missing packages, and returns the programs that are not
// available.
func install() (missing map[string]bool) {
	missing = map[string]bool{}
	var wanted []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing[program] = true
			wanted = append(wanted, name)
		}
	}
	if len(wanted) == 0 {
		return missing
	}
	fmt.Fprintf(os.Stderr, "bench: apt-get install %s\n", strings.Join(wanted, " "))
	for _, name := range wanted { // each alone, so that a missing one does not fail the others
		cmd := exec.Command("timeout", "90", "apt-get", "install", "-y", "-qq", "--no-install-recommends", name)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Run() // the result is checked below
	}
	for program := range missing {
		if _, err := exec.LookPath(program); err == nil {
			delete(missing, program)
		} else {
			fmt.Fprintf(os.Stderr, "bench: left out: %s, package %s cannot be installed\n", program, packages[program])
		}
	}
	return missing
}

// argv is the command line that makes the probe with args the peer's child.
func (b *bench) argv(p *peer, args ...string) ([]string, error) {
	child := append([]string{b.file("probe")}, args...)
	switch {
	case p.scan:
		dir, err := b.service(child)
		return []string{b.where(p.program), dir}, err
	case p.program == "":
		return child, nil
	}
	return append(append([]string{b.where(p.program)}, p.before...), child...), nil
}

// service makes a scan directory with one service. Without arguments its run is the
// probe itself, so that no shell is measured.
func (b *bench) service(child []string) (string, error) {
	dir := b.file("scan" + strings.Join(child[1:], ""))
	run := filepath.Join(dir, "probe", "run")
	if _, err := os.Stat(run); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(run), 0o755); err != nil {
		return "", err
	}
	if len(child) == 1 {
		return dir, os.Symlink(child[0], run)
	}
	return dir, os.WriteFile(run, []byte("#!/bin/sh\nexec "+strings.Join(child, " ")+"\n"), 0o755)
}

// where returns the path of a program. Ours is beside the probe, others are on the
// PATH.
func (b *bench) where(program string) string {
	if program == ours {
		return b.file(ours)
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return program // its start will fail
	}
	return found
}

// version returns the version that dpkg reports.
func version(program string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", packages[program]).Output()
	if err != nil {
		return "of unknown version"
	}
	return string(bytes.TrimSpace(out))
}

// sizes returns the table of binaries.
func (b *bench) sizes() (*table, error) {
	t := &table{title: "Binary size", about: "The file of PID 1 alone; a dynamic one needs the C library beside it.",
		head: []string{"init", "KiB", "linked"}}
	for _, p := range b.inits() {
		if p.program == "" {
			continue
		}
		file := b.where(p.program)
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		linked := "statically"
		if e, err := elf.Open(file); err == nil {
			if e.Section(".interp") != nil {
				linked = "dynamically"
			}
			e.Close()
		}
		t.add(p.name, fmt.Sprint((info.Size()+1023)/1024), linked)
	}
	return t, nil
}

// settle waits until an init that has just started is idle.
func settle() { time.Sleep(50 * time.Millisecond) }
