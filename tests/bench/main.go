// SPDX-License-Identifier: Apache-2.0

// Command bench measures gateway-init beside its peers, in one run and in turns:
//
//	make bench
//	go run ./tests/bench -only boots -old DIR
//	go run ./tests/bench -write docs
//
// It needs root, and the files of make image-context. Peers are Debian's packages,
// which are installed if they are missing. A peer that is not available has a row
// that says so. -old adds the gateway-init and gatewayctl of another directory to
// each measurement. All start the same child, tests/bench/probe, whose first
// instruction reads the clock. Every measured program has the capabilities that
// Docker grants.
//
// The benchmark never fails because a program was slow. It takes some five minutes,
// with -old seven, and ends with an error after ten.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// verbose shows the stderr of the measured programs. A flag sets it once.
var verbose bool

// longest bounds the whole run.
const longest = 10 * time.Minute

// counts are the numbers of repetitions.
type counts struct {
	starts, boots, traced, signals, storms, orphans, restarts, looks, processes, delays, checks, relays int
	idle                                                                                                time.Duration
}

// bench is one run.
type bench struct {
	context.Context
	counts  counts
	dir     string          // binaries and mounted files; every user can enter
	root    string          // of the repository
	docker  *thread         // its children have the capabilities that Docker grants
	builds  []build         // of gateway mode
	missing map[string]bool // programs that are not available
	noise   noise
	report  report
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
	var write, only, before string
	flag.IntVar(&c.starts, "starts", 300, "starts of each init in plain mode")
	flag.IntVar(&c.boots, "boots", 100, "starts in gateway mode and of the bash entrypoint, for each number of CPUs")
	flag.IntVar(&c.traced, "traced", 20, "of these with their system calls counted")
	flag.IntVar(&c.signals, "signals", 4000, "signals for each init")
	flag.IntVar(&c.storms, "storms", 9, "zombie storms for each init")
	flag.IntVar(&c.orphans, "orphans", 20000, "orphans in a storm, by 500")
	flag.IntVar(&c.restarts, "restarts", 100, "restarts of the gateway")
	flag.IntVar(&c.looks, "looks", 100, "runs of gatewayctl status and of health")
	flag.IntVar(&c.processes, "processes", 5000, "unrelated processes, by 500")
	flag.IntVar(&c.delays, "delays", 5, "restarts with a slow gateway, for each delay")
	flag.IntVar(&c.checks, "checks", 40, "health checks")
	flag.IntVar(&c.relays, "relays", 3, "seconds of each load of each relay")
	flag.DurationVar(&c.idle, "idle", time.Minute, "how long to be idle")
	flag.StringVar(&write, "write", "", "write benchmarks.md and its charts into this `directory`")
	flag.StringVar(&before, "old", "", "a `directory` with another gateway-init and gatewayctl, to measure beside")
	flag.StringVar(&only, "only", "", "one measurement: "+partNames())
	flag.BoolVar(&verbose, "v", false, "show the programs' stderr")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it takes longer than %v", longest))
	defer cancel()
	b := &bench{Context: ctx, counts: c}
	if err := b.all(write, only, before); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// all measures everything and prints it.
func (b *bench) all(write, only, before string) (err error) {
	wanted := slices.DeleteFunc(parts(), func(p part) bool { return only != "" && only != p.name })
	switch _, found := os.Lstat("/etc/gateway-init"); {
	case os.Geteuid() != 0:
		return errors.New("namespaces need root")
	case found == nil:
		return errors.New("this machine has /etc/gateway-init: plain mode is where it does not exist")
	case len(wanted) == 0:
		return fmt.Errorf("-only %s: it is none of %s", only, partNames())
	case write != "" && only != "":
		return errors.New("-write needs all measurements: leave out -only")
	}
	runtime.LockOSThread() // children die with the thread that started them
	defer func() {
		if b.dir != "" {
			os.RemoveAll(b.dir)
		}
	}()
	if err := b.prepare(before); err != nil {
		return err
	}
	if b.docker, err = newThread(limitCapabilities); err != nil {
		return err
	}
	defer b.docker.end()
	b.missing = install()
	b.missing[beforeDir] = before == ""
	m := b.machine()
	fmt.Println(m)
	for _, p := range wanted {
		if err := b.noise.listen(); err != nil {
			return err
		}
		done := len(b.report.tables)
		if err := p.measure(b); err != nil {
			return fmt.Errorf("cannot measure %s: %w", p.name, err)
		}
		for _, t := range b.report.tables[done:] {
			fmt.Println(t)
		}
	}
	if err := b.noise.listen(); err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n", b.report.goalTable(before != ""), b.noise)
	if write == "" {
		return nil
	}
	return writePage(write, page{Machine: m, Noise: b.noise.String(), report: b.report, before: before != ""})
}

// Err returns why the run must end.
func (b *bench) Err() error { return context.Cause(b.Context) }

// sleep sleeps, and returns early if we are told to exit.
func (b *bench) sleep(d time.Duration) error {
	select {
	case <-b.Done():
		return b.Err()
	case <-time.After(d):
		return nil
	}
}
