// SPDX-License-Identifier: Apache-2.0

// Command gateway-relay serves the published port of a gateway. PID 1 starts it, and
// starts it again when it ends:
//
//	gateway-relay --listeners N --wait 10s --log json --operator UID [--one-user]
//
// Descriptor 3 is the channel to PID 1 (internal/relaylink), 4 the file of the counters
// (internal/relaycount), and from 5 on there are N sockets that listen. It ends when
// PID 1 closes the channel, or by SIGTERM. Its exit code is 0 then, 1 after an error,
// and 2 for wrong arguments.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/proven"
	"github.com/gateway-init/gateway-init/internal/relaycount"
	"github.com/gateway-init/gateway-init/internal/relaylink"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/version"
	"github.com/gateway-init/gateway-init/relay/bounds"
	"github.com/gateway-init/gateway-init/relay/confine"
	"github.com/gateway-init/gateway-init/relay/loop"
)

// Inherited descriptors.
const (
	linkFD        = 3
	countersFD    = 4
	firstListener = 5
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the command line.
type options struct {
	listeners        int
	wait             time.Duration
	log              string
	operator         uint64
	oneUser, version bool
}

// maxListeners is far more than the forms of one address.
const maxListeners = 16

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("gateway-relay", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.listeners, "listeners", 0, "the `number` of listening sockets, from descriptor 5 on")
	f.DurationVar(&o.wait, "wait", 10*time.Second, "how long a client waits for a proven gateway")
	f.StringVar(&o.log, "log", "json", "the form of log lines: json or text")
	f.Uint64Var(&o.operator, "operator", 0, "the `uid` whose clients on this machine have no limit of their own")
	f.BoolVar(&o.oneUser, "one-user", false, "all processes of the container have one user, which may be root")
	f.BoolVar(&o.version, "version", false, "print the version")
	err = f.Parse(args)
	switch {
	case err != nil || o.version:
	case f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.listeners < 1 || o.listeners > maxListeners:
		err = fmt.Errorf("--listeners must be from 1 to %d", maxListeners)
	case o.wait < 0 || o.wait > time.Hour:
		err = errors.New("--wait must be from 0s to 1h")
	case o.log != "json" && o.log != "text":
		err = errors.New("--log must be json or text")
	case o.operator >= 1<<32:
		err = errors.New("--operator must be a uid")
	}
	return o, err
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "gateway-relay: %v\n", err)
		return 2
	case o.version:
		fmt.Fprintf(stdout, "gateway-relay %s\n", version.String)
		return 0
	}
	l := newLog(stderr, o.log)
	if err := serve(o, l); err != nil {
		l.ring.Flush(time.Second)
		fmt.Fprintf(stderr, "gateway-relay: %v\n", err)
		return 1
	}
	l.ring.Flush(time.Second)
	return 0
}

// ownFiles is the number of descriptors that are not clients': the inherited ones, those
// of epoll, netlink, the spare ones, Go's, and two pidfds.
const ownFiles = 64

// serve relays until the end.
func serve(o options, l *log) error {
	if err := confine.CheckUser(o.oneUser); err != nil {
		return err
	}
	if err := confine.CheckDescriptors(firstListener + o.listeners - 1); err != nil {
		return err
	}
	link, err := relaylink.Open(linkFD)
	if err != nil {
		return err
	}
	counters, err := relaycount.Map(countersFD)
	if err != nil {
		return err
	}
	files, err := sys.RaiseFiles(1 << 20)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	missing := confine.Close(relaycount.Size)
	// The relay makes hardly any garbage. What its start has made is soon given back.
	debug.SetGCPercent(25)
	c := loop.Config{Link: link, Counters: counters, Limits: bounds.For(files, ownFiles), Wait: o.wait,
		Operator: uint32(o.operator), Log: l}
	for n := range o.listeners {
		c.Listeners = append(c.Listeners, firstListener+n)
	}
	r, err := loop.New(c)
	if err != nil {
		return err
	}
	for _, m := range missing {
		l.write("warn", evMissing, field{"name", m.Name}, field{"detail", m.Detail})
	}
	level := "info"
	if r.Way() != proven.ByDiag {
		level = "warn"
	}
	l.write(level, evReady, field{"clients", c.Limits.Total}, field{"proof", r.Way().String()})
	go func() {
		<-signals
		r.Stop()
	}()
	debug.FreeOSMemory()
	return r.Run()
}
