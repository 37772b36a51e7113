// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// path is the search path in all namespaces.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// boxPath is the PATH in a box: as in an image, its second directory has gatewayctl, for
// which gateway-init looks at each boot.
const boxPath = "/usr/local/sbin:" + boxDir + ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// peer is an init, or a program that takes its place.
type peer struct {
	name    string
	program string // the program of PID 1; "" for no init at all
	args    []string
	scan    bool // s6-svscan, which runs the services of a directory
	inits   bool // it stays as the child's init; gosu only executes
	mute    bool // forwards no signals
}

func (p *peer) String() string { return p.name }

// Names that tables refer to.
const (
	ours       = "gateway-init"
	oursBefore = "gateway-init before"
	tini       = "tini"
	noInit     = "no init"
	batch      = 500 // children for one argument of the probe: BATCH in its source
)

func allPeers() []*peer {
	return []*peer{
		{name: noInit},
		{name: ours, program: ours, args: []string{"--"}, inits: true},
		{name: oursBefore, program: oursBefore, args: []string{"--"}, inits: true},
		{name: tini, program: tini, args: []string{"--"}, inits: true},
		{name: "dumb-init", program: "dumb-init", args: []string{"--"}, inits: true},
		{name: "catatonit", program: "catatonit", args: []string{"--"}, inits: true},
		{name: "s6-svscan", program: "s6-svscan", scan: true, inits: true, mute: true},
		{name: "gateway-init --user", program: ours, args: []string{"--user", "nobody", "--"}},
		{name: "gosu (no init)", program: "gosu", args: []string{"nobody"}},
		{name: "tini + gosu", program: tini, args: []string{"--", "gosu", "nobody"}},
	}
}

// packages of Debian, by program.
var packages = map[string]string{
	tini: "tini", "dumb-init": "dumb-init", "catatonit": "catatonit", "s6-svscan": "s6", "gosu": "gosu",
	"nginx": "nginx-full", "socat": "socat", "iperf3": "iperf3", "wrk": "wrk",
}

// needs returns the programs of a peer that may be missing.
func (p *peer) needs() []string {
	switch p.program {
	case "", ours:
		return nil
	case oursBefore:
		return []string{beforeDir}
	}
	if len(p.args) > 1 && p.args[1] == "gosu" {
		return []string{p.program, "gosu"}
	}
	return []string{p.program}
}

// available returns the peers that can be measured, and the others.
func (b *bench) available() (all, others []*peer) {
	for _, p := range allPeers() {
		switch {
		case !slices.ContainsFunc(p.needs(), func(n string) bool { return b.missing[n] }):
			all = append(all, p)
		case p.program != oursBefore: // without -old there is none, and nobody misses it
			others = append(others, p)
		}
	}
	return all, others
}

// inits returns the peers that stay as PID 1, and the child without any.
func (b *bench) inits() []*peer {
	all, _ := b.available()
	return slices.DeleteFunc(all, func(p *peer) bool { return !p.inits && p.program != "" })
}

// reapers returns the peers that stay as PID 1.
func (b *bench) reapers() []*peer {
	return slices.DeleteFunc(b.inits(), func(p *peer) bool { return p.program == "" })
}

// skipPeers adds a row for each peer that is not available, of those that stay as
// PID 1 or of all.
func (b *bench) skipPeers(t *table, onlyInits bool) {
	_, others := b.available()
	for _, p := range others {
		if p.inits || !onlyInits {
			needs := slices.DeleteFunc(p.needs(), func(n string) bool { return !b.missing[n] })
			t.skip(p.name, notInstalled(needs...))
		}
	}
}

// notInstalled says why a row has no figures.
func notInstalled(programs ...string) string {
	var names []string
	for _, program := range programs {
		names = append(names, packages[program])
	}
	return "no package " + strings.Join(names, " and ")
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
	return append(append([]string{b.where(p.program)}, p.args...), child...), nil
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
	switch program {
	case ours:
		return b.file(ours)
	case oursBefore:
		return b.file(beforeDir + "/" + ours)
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

// settle waits until an init that has just started is idle.
func settle() { time.Sleep(50 * time.Millisecond) }
