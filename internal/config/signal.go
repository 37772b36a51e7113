// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"syscall"
)

// stopSignal is the field of the name of a signal that may stop a gateway, and
// reloadSignal of one by which it may read its configuration again.
type (
	stopSignal   syscall.Signal
	reloadSignal syscall.Signal
)

const (
	stopSignals   = "SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2"
	reloadSignals = "SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH"
)

func (f *stopSignal) read(d *decoder, n node) { *f = stopSignal(readSignal(d, n, stopSignals)) }

func (f *stopSignal) show(int) string { return showSignal(syscall.Signal(*f), stopSignals) }

func (f *stopSignal) manual() (kind, accepted string) { return "string", stopSignals }

func (f *reloadSignal) read(d *decoder, n node) { *f = reloadSignal(readSignal(d, n, reloadSignals)) }

func (f *reloadSignal) show(int) string { return showSignal(syscall.Signal(*f), reloadSignals) }

func (f *reloadSignal) manual() (kind, accepted string) { return "string", reloadSignals }

// readSignal returns the signal of one of the accepted names.
func readSignal(d *decoder, n node, accepted string) syscall.Signal {
	var name string
	(&choice{&name, accepted}).read(d, n)
	return signalNumber(name)
}

// showSignal returns the name of one of the accepted signals, or "".
func showSignal(sig syscall.Signal, accepted string) string {
	for name := range strings.SplitSeq(accepted, ", ") {
		if signalNumber(name) == sig {
			return quoteJSON(name)
		}
	}
	return ""
}

// signalNumber returns the number of a signal, or 0 for any other name.
func signalNumber(name string) syscall.Signal {
	switch name {
	case "SIGTERM":
		return syscall.SIGTERM
	case "SIGINT":
		return syscall.SIGINT
	case "SIGQUIT":
		return syscall.SIGQUIT
	case "SIGHUP":
		return syscall.SIGHUP
	case "SIGKILL":
		return syscall.SIGKILL
	case "SIGUSR1":
		return syscall.SIGUSR1
	case "SIGUSR2":
		return syscall.SIGUSR2
	case "SIGWINCH":
		return syscall.SIGWINCH
	}
	return 0
}
