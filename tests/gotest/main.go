// Command gotest runs go test, prints what failed and one line of figures, and
// with CI=true takes a skipped test for a failed one: a test that did not run
// has proven nothing.
//
//	gotest -part NAME -- ARGS...   run go test ARGS
//	gotest -sum FILE               print the sum of all parts in FILE
//
// GOTEST_TALLY names the file that collects the figures of each part.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// result is what one part did.
type result struct {
	passed, failed, skipped int
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gotest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	part := flags.String("part", "test", "name of this part")
	sum := flags.String("sum", "", "print the sum of a tally")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *sum != "" {
		return total(*sum, stdout, stderr)
	}
	r, err := test(flags.Args(), stdout, stderr)
	strict := os.Getenv("CI") == "true"
	if strict && r.skipped > 0 {
		fmt.Fprintf(stdout, "%s: CI=true: a skipped test is a failure\n", *part)
	}
	fmt.Fprintf(stdout, "%s: %d passed, %d failed, %d skipped\n", *part, r.passed, r.failed, r.skipped)
	if tally := os.Getenv("GOTEST_TALLY"); tally != "" {
		if errTally := note(tally, *part, r); errTally != nil {
			err = errors.Join(err, errTally)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", *part, err)
		return 1
	}
	if r.failed > 0 || strict && r.skipped > 0 {
		return 1
	}
	return 0
}

// test runs go test and reads its events.
func test(args []string, stdout, stderr io.Writer) (result, error) {
	cmd := exec.Command("go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, fmt.Errorf("cannot start go test: %w", err)
	}
	r, errRead := read(out, stdout)
	return r, errors.Join(errRead, cmd.Wait())
}

// read counts tests (leaves and their parents alike, as go test does) and
// prints the output of those that failed or were skipped, and of packages that
// failed without a test.
func read(in io.Reader, stdout io.Writer) (result, error) {
	var r result
	output := map[string][]string{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(stdout, lines.Text()) // a build error
			continue
		}
		key := e.Package + " " + e.Test
		switch {
		case e.Action == "output" || e.Action == "build-output":
			output[key] = append(output[key], e.Output)
			continue
		case e.Test != "" && e.Action == "pass":
			r.passed++
		case e.Test != "" && e.Action == "fail":
			r.failed++
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test != "" && e.Action == "skip":
			r.skipped++
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test == "" && (e.Action == "fail" || e.Action == "build-fail"):
			fmt.Fprint(stdout, strings.Join(output[key], ""))
		case e.Test == "" && e.Action == "pass":
			fmt.Fprint(stdout, lastLine(output[key]))
		default:
			continue
		}
		delete(output, key)
	}
	return r, lines.Err()
}

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

func note(path, part string, r result) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write tally: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s %d %d %d\n", part, r.passed, r.failed, r.skipped)
	return errors.Join(err, f.Close())
}

func total(path string, stdout, stderr io.Writer) int {
	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(stderr, "cannot read tally: %v\n", err)
		return 1
	}
	var sum result
	for line := range strings.Lines(string(data)) {
		var part string
		var r result
		if _, err := fmt.Sscan(line, &part, &r.passed, &r.failed, &r.skipped); err != nil {
			fmt.Fprintf(stderr, "cannot read tally line %q: %v\n", line, err)
			return 1
		}
		sum.passed += r.passed
		sum.failed += r.failed
		sum.skipped += r.skipped
	}
	text := fmt.Sprintf("%d passed, %d failed", sum.passed, sum.failed)
	if sum.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", sum.skipped)
	}
	fmt.Fprintln(stdout, text)
	return 0
}
