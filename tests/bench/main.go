// SPDX-License-Identifier: Apache-2.0

// Command bench measures gateway-init beside its peers, in one run and in turns:
//
//	make bench
//	go run ./tests/bench -write docs/benchmarks.md
//
// It needs root, and the files of make image-context. Peers are Debian's packages,
// which are installed if they are missing. A peer that is not available is left
// out. All start the same child, tests/bench/probe, whose first instruction reads
// the clock. The benchmark never fails because a program was slow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// verbose shows the stderr of the measured programs. A flag sets it once.
var verbose bool

// counts are the numbers of repetitions.
type counts struct {
	starts, boots, signals, storms, orphans, restarts, looks, processes int
	idle                                                                time.Duration
}

// bench is one run.
type bench struct {
	context.Context
	counts   counts
	dir      string          // binaries and mounted files; every user can enter
	root     string          // of the repository
	starters []*peer         // all that are available
	missing  map[string]bool // programs that are not available
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == becomeArg {
		fmt.Fprintf(os.Stderr, "bench: %v\n", become(os.Args[2:]))
		os.Exit(99)
	}
	os.Exit(run())
}

func run() int {
	var c counts
	var write, only string
	flag.IntVar(&c.starts, "starts", 300, "starts of each init in plain mode")
	flag.IntVar(&c.boots, "boots", 100, "starts in gateway mode and of the bash entrypoint")
	flag.IntVar(&c.signals, "signals", 4000, "signals for each init")
	flag.IntVar(&c.storms, "storms", 9, "zombie storms for each init")
	flag.IntVar(&c.orphans, "orphans", 20000, "orphans in a storm, by 500")
	flag.IntVar(&c.restarts, "restarts", 100, "restarts of the gateway")
	flag.IntVar(&c.looks, "looks", 100, "runs of gatewayctl status and of health")
	flag.IntVar(&c.processes, "processes", 5000, "unrelated processes, by 500")
	flag.DurationVar(&c.idle, "idle", time.Minute, "how long to be idle")
	flag.StringVar(&write, "write", "", "replace the section in this Markdown `file`")
	flag.StringVar(&only, "only", "", "one measurement: starts, boots, signals, storm, idle, restarts or sizes")
	flag.BoolVar(&verbose, "v", false, "show the programs' stderr")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b := &bench{Context: ctx, counts: c}
	if err := b.all(write, only); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// all measures everything and prints it.
func (b *bench) all(write, only string) error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces need root")
	}
	if _, err := os.Lstat("/etc/gateway-init"); err == nil {
		return errors.New("this machine has /etc/gateway-init: plain mode is where it does not exist")
	}
	runtime.LockOSThread() // children die with the thread that started them
	if err := b.prepare(); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.missing = install()
	b.starters = slices.DeleteFunc(allPeers(), func(p *peer) bool {
		return slices.ContainsFunc(p.needs(), func(n string) bool { return b.missing[n] })
	})
	section := b.machine()
	fmt.Println(section)
	for _, m := range []struct {
		name    string
		measure func() (*table, error)
	}{
		{"starts", b.starts}, {"boots", b.boots}, {"signals", b.signals}, {"storm", b.storm},
		{"restarts", b.operations}, {"idle", b.idle}, {"sizes", b.sizes},
	} {
		if only != "" && only != m.name {
			continue
		}
		t, err := m.measure()
		if err != nil {
			return fmt.Errorf("cannot measure %s: %w", m.name, err)
		}
		fmt.Println(t)
		section += "\n" + t.String()
	}
	if write == "" {
		return nil
	}
	document, err := os.ReadFile(write)
	if err != nil {
		return err
	}
	text, err := replace(string(document), section)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", write, err)
	}
	return os.WriteFile(write, []byte(text), 0o644)
}

// file returns the path of one of our files, in every namespace.
func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// prepare builds the probe and copies the binaries to a directory where every user
// can execute them. A checkout may be in a closed directory.
func (b *bench) prepare() (err error) {
	top, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if b.root = strings.TrimSpace(string(top)); err != nil || b.root == "" {
		return errors.Join(errors.New("cannot find the module: run it in the repository"), err)
	}
	if b.dir, err = os.MkdirTemp("", "gateway-init-bench"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(b.dir)
		}
	}()
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -E main.start", "-o", b.file("probe"), "./tests/bench/probe")
	build.Dir, build.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the probe: %w: %s", err, out)
	}
	for _, name := range []string{"bin/gateway-init", "bin/gatewayctl", "bin/demogateway", "tests/bench/entrypoint"} {
		data, err := os.ReadFile(filepath.Join(b.root, name))
		if err != nil {
			return fmt.Errorf("%w: run make bench, which builds it", err)
		}
		if err := os.WriteFile(b.file(filepath.Base(name)), data, 0o755); err != nil {
			return err
		}
	}
	return b.etc()
}

// inits returns the peers that stay as PID 1, and the child without any.
func (b *bench) inits() []*peer {
	return slices.DeleteFunc(slices.Clone(b.starters), func(p *peer) bool { return !p.inits && p.program != "" })
}

// turns runs f n times for each peer, in turns. Each round begins with another
// peer.
func (b *bench) turns(peers []*peer, n int, f func(*peer) error) error {
	for round := range n {
		for at := range peers {
			if err := b.Err(); err != nil {
				return err
			}
			p := peers[(round+at)%len(peers)]
			if err := f(p); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}

// sleep sleeps, and returns early if we are told to exit.
func (b *bench) sleep(d time.Duration) error {
	select {
	case <-b.Done():
		return b.Err()
	case <-time.After(d):
		return nil
	}
}
