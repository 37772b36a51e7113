// SPDX-License-Identifier: Apache-2.0

// Command demotools is the shell of an image that has none: small tools for
// make demo and the tests, in one static binary. A tool is chosen by the
// program's name or by the first argument; without any it lists them.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// applet is one tool. Its error is printed and ends the program with 1; an
// exitCode ends it with that.
type applet struct {
	usage string
	args  int // at least so many
	run   func(args []string) error
}

// exitCode is an error that only carries an exit code.
type exitCode int

func (e exitCode) Error() string { return "exit " + strconv.Itoa(int(e)) }

func applets() map[string]applet {
	return map[string]applet{
		// files
		"cat":   {"[FILE...]  (without FILE: stdin)", 0, cat},
		"write": {"FILE  (from stdin)", 1, writeFile},
		"ls":    {"[DIR]", 0, ls},
		"stat":  {"PATH...", 1, stat},
		"mkdir": {"DIR MODE", 2, mkdir},
		"chmod": {"PATH MODE", 2, chmod},
		"chown": {"PATH UID GID", 3, chown},
		"ln":    {"TARGET NAME  (symbolic)", 2, func(a []string) error { return os.Symlink(a[0], a[1]) }},
		"hard":  {"OLD NEW  (hard link)", 2, func(a []string) error { return os.Link(a[0], a[1]) }},
		"mv":    {"OLD NEW", 2, func(a []string) error { return os.Rename(a[0], a[1]) }},
		"rm":    {"PATH...", 1, remove},
		"rmtmp": {"DIR  (everything below)", 1, removeBelow},
		"fifo":  {"PATH MODE", 2, fifo},
		"fill":  {"DIR BYTES  (0: until it is full)", 2, fill},
		// who and where
		"id":        {"", 0, id},
		"env":       {"", 0, func([]string) error { return printLines(os.Environ()) }},
		"ps":        {"", 0, ps},
		"tty-info":  {"", 0, ttyInfo},
		"tty-watch": {"(tty-info, again at each SIGWINCH)", 0, ttyWatch},
		// processes
		"foreign-init": {"UID PROGRAM [ARG...]  (somebody else's PID 1 that runs PROGRAM as UID)", 2, foreignInit},
		"without-caps": {"PROGRAM [ARG...]  (gives up all capabilities first; where no_new_privs keeps root from getting them back)", 1, withoutCaps},
		"batch":        {"(runs the programs of a JSON list on stdin, prints the list of their ends)", 0, batchRuns},
		"repeat":       {"N PROGRAM [ARG...]  (runs it so often, to the first that fails)", 2, repeat},
		"sleep":        {"SECONDS", 1, sleep},
		"stubborn":     {"SECONDS  (ignores TERM, INT, HUP and QUIT)", 1, stubborn},
		"exit":         {"N", 1, exit},
		"trap":         {"NAME SECONDS CODE  (says which stop signal it gets, ends later)", 3, trap},
		"die":          {"SIGNAL  (a number; ends by it)", 1, die},
		"spin":         {"[SECONDS]", 0, spin},
		"decoy":        {"COMM ARGV0 [ARG...]  (sleeps under that name)", 2, decoy},
		"hostile":      {"FILE  (an agent of the supervisor's own user, at its worst; FILE says what its processes were sent)", 1, hostile},
		"bait":         {"FILE COMM  (a process of hostile)", 2, bait},
		"zombies":      {"N  (orphans N grandchildren that end at once)", 1, zombies},
		"unreaped":     {"N SECONDS  (keeps N children that have ended)", 2, unreaped},
		"linger":       {"N SECONDS  (orphans N grandchildren that live so long)", 2, linger},
		"orphan":       {"CMD [ARG...]  (in its own session, without parent)", 1, orphan},
		"orphan-then":  {"TOOL [ARG...] -- TOOL [ARG...]  (leaves the first as an orphan, becomes the second)", 3, orphanThen},
		"forkbomb":     {"SECONDS", 1, forkbomb},
		"churn":        {"PER-SECOND SECONDS", 2, churn},
		"victims":      {"FILE  (children without end; FILE says which pids they had and which were killed)", 1, victims},
		"sigsend":      {"PID SIGNAL [TIMES]", 2, sigsend},
		"sigall":       {"PID  (1 to 64 but KILL and STOP: says what the kernel answered)", 1, sigall},
		"nonblock":     {"FD  (sets O_NONBLOCK on the open file)", 1, nonblock},
		"reopen":       {"FD  (opens it again for reading and writing)", 1, reopen},
		"stdio-all":    {"LINES  (writes to stdout and stderr)", 1, stdioAll},
		// network
		"hold-port": {"[-http] [-retry SECONDS] ADDR  (prints what it receives)", 1, holdPort},
		"thief":     {"[-hold SECONDS] [-eager] ADDR FILE  (takes the port whenever it is free; FILE gets what it receives)", 2, thief},
		"connect":   {"ADDR", 1, connect},
		"http":      {"METHOD URL [BODY]  (token on stdin, or an empty stdin)", 2, httpRequest},
		"fakemodel": {"ADDR [FILE]  (a model endpoint that does what the user's message says; FILE keeps what it is asked)", 1, fakemodel},
		// clients of the gateway, for gatewayctl exec
		"tui-demo":    {"(says who it is, echoes lines until exit; the token is in the environment)", 0, tuiDemo},
		"revoke-demo": {"(stands for a vendor's command that revokes devices)", 0, revokeDemo},
		// secrets
		"robber":     {"PORT FILE  (takes the port whenever it is free, on each address; FILE gets what HTTP and WebSocket clients send)", 2, robberTool},
		"poll-http":  {"SECONDS  (asks with the token of the environment, by new connections; 0: for good)", 1, pollHTTP},
		"poll-ws":    {"SECONDS  (the same by WebSocket, with the token in a frame)", 1, pollWS},
		"hunt":       {"UID DIR  (as root: keeps seekers of that user alive; SEEK_BAIT has three secrets that they must find)", 2, hunt},
		"seek":       {"UID DIR  (takes secrets from other processes; DIR/loot and DIR/log say what it got and saw)", 2, seek},
		"rounds":     {"N  (as root: so many restarts, with rotations, drains and probes; prints pids and tokens)", 1, rounds},
		"scan-token": {"[DIR...]  (token on stdin; looks in files and /proc)", 0, scanToken},
	}
}

func main() { os.Exit(run(os.Args, os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	if os.Getenv(decoyEnv) != "" {
		return beDecoy()
	}
	name, rest := filepath.Base(args[0]), args[1:]
	tool, ok := applets()[name]
	if !ok && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
		tool, ok = applets()[name]
	}
	if !ok || len(rest) < tool.args {
		list(stderr, name, ok)
		return 2
	}
	err := tool.run(rest)
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func list(stderr io.Writer, name string, known bool) {
	all := applets()
	if known {
		fmt.Fprintf(stderr, "usage: %s %s\n", name, all[name].usage)
		return
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(stderr, "%-10s %s\n", n, all[n].usage)
	}
}

// number parses an argument that is a whole number of at least 0.
func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a number of at least 0: %q", text)
	}
	return n, nil
}

func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f > 1e6 {
		return 0, fmt.Errorf("not a number of seconds: %q", text)
	}
	return time.Duration(f * float64(time.Second)), nil
}

func printLines(lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Println(line); err != nil {
			return err
		}
	}
	return nil
}
