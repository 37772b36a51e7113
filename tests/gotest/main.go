// SPDX-License-Identifier: Apache-2.0

// Command gotest runs go test, and prints the failures and one line of figures.
// With CI=true a skipped test counts as failed, because a test that did not run has
// proven nothing.
//
//	gotest -part NAME -- ARGS...         run go test ARGS
//	gotest -part NAME -command CMD...    run CMD, whose time counts as a part
//	gotest -sum FILE                     print the figures of all parts in FILE
//
// GOTEST_TALLY names the file that collects the figures of each part.
// GOTEST_EVENTS, if set, names a directory for the output of go test -json.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gotest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("part", "test", "name of this part")
	command := flags.Bool("command", false, "run a command that is not go test")
	sum := flags.String("sum", "", "print the sum of a tally")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *sum != "" {
		return total(*sum, stdout, stderr)
	}
	begin := time.Now()
	var r part
	var err error
	if *command {
		err = runCommand(flags.Args(), stdout, stderr)
	} else {
		r, err = test(*name, flags.Args(), stdout, stderr)
	}
	r.Part, r.Seconds = *name, time.Since(begin).Seconds()
	strict := os.Getenv("CI") == "true"
	if strict && r.Skipped > 0 {
		fmt.Fprintf(stdout, "%s: CI=true: a skipped test is a failure\n", *name)
	}
	if !*command {
		fmt.Fprintf(stdout, "%s: %s in %.0f s\n", *name, r.figures(), r.Seconds)
	}
	if tally := os.Getenv("GOTEST_TALLY"); tally != "" {
		err = errors.Join(err, note(tally, r))
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", *name, err)
		return 1
	}
	if r.Failed > 0 || strict && r.Skipped > 0 {
		return 1
	}
	return 0
}

func runCommand(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("-command without a command")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	return cmd.Run()
}

// test runs go test and reads its events.
func test(name string, args []string, stdout, stderr io.Writer) (part, error) {
	counter, err := os.CreateTemp("", "gotest-containers")
	if err != nil {
		return part{}, err
	}
	defer os.Remove(counter.Name())
	defer counter.Close()
	cmd := exec.Command("go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Env = append(os.Environ(), harness.ContainersVariable+"="+counter.Name())
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return part{}, err
	}
	in := io.Reader(out)
	if dir := os.Getenv("GOTEST_EVENTS"); dir != "" {
		kept, err := os.Create(filepath.Join(dir, name+".json"))
		if err != nil {
			return part{}, fmt.Errorf("cannot keep events: %w", err)
		}
		defer kept.Close()
		in = io.TeeReader(out, kept)
	}
	if err := cmd.Start(); err != nil {
		return part{}, fmt.Errorf("cannot start go test: %w", err)
	}
	r, errRead := read(in, stdout)
	err = errors.Join(errRead, cmd.Wait())
	lines, errCount := os.ReadFile(counter.Name())
	r.Containers = bytes.Count(lines, []byte("\n"))
	return r, errors.Join(err, errCount)
}
