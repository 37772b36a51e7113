// SPDX-License-Identifier: Apache-2.0

package image

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// step is one command of the tutorial and the output that the page shows.
type step struct{ command, output string }

// steps returns the commands of a page. A command begins with "$ " in an indented
// block, goes on after a backslash, and the lines below it are its output.
func steps(page string) (all []step) {
	open := false // the command goes on in the next line
	for line := range strings.Lines(page) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		command, begins := strings.CutPrefix(text, "$ ")
		switch {
		case !indented:
			open = false
			all = append(all, step{}) // lines of the next block are no output of this one
			continue
		case begins:
			all = append(all, step{command: command})
		case len(all) == 0 || all[len(all)-1].command == "":
			continue
		case open:
			all[len(all)-1].command += "\n" + text
		default:
			all[len(all)-1].output += text + "\n"
		}
		open = strings.HasSuffix(text, "\\")
	}
	return all
}

var (
	number = regexp.MustCompile(`[0-9]+`)
	times  = regexp.MustCompile(`[0-9dhms]+ ago`)
	name   = regexp.MustCompile(`\bdemo\b`)
)

// TestTutorialIsReal: each command of the tutorial works as it is written, and prints
// what the page says. Only numbers and times may differ; a number that the page uses
// again, such as a pid, is the one that was printed before.
func TestTutorialIsReal(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	engine := os.Getenv("ENGINE")
	if engine == "" {
		engine = "docker"
	}
	harness.Slot(t)
	container := harness.NewName(t)
	t.Cleanup(func() { harness.Engine(t, nil, "rm", "-f", "-v", container) })
	real := map[string]string{} // of a number on the page
	ran := 0
	for _, s := range steps(string(page)) {
		if !strings.HasPrefix(s.command, "docker") || strings.Contains(s.command, "exec -it ") {
			continue // a build, a terminal, or no command
		}
		command := strings.ReplaceAll(s.command, "gateway-demo:dev", "IMAGE")
		command = strings.ReplaceAll(name.ReplaceAllString(command, container), "IMAGE", "gateway-demo:dev")
		command = number.ReplaceAllStringFunc(command, func(n string) string {
			if now, ok := real[n]; ok {
				return now
			}
			return n
		})
		cmd := exec.Command("bash", "-uc", "docker() { command "+engine+` "$@"; }`+"\n"+command)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		ran++
		got := inOrder(strings.ReplaceAll(string(out), container, "demo"), s.output)
		if s.output == "" { // the id of a container, or nothing
			if err != nil {
				t.Fatalf("$ %s\n%v\n%s", s.command, err, out)
			}
			continue
		}
		want, have := number.FindAllString(s.output, -1), number.FindAllString(got, -1)
		if shape(got) != shape(s.output) {
			t.Fatalf("$ %s\n%s\nThe page has\n%s", s.command, got, s.output)
		}
		for i := range min(len(want), len(have)) {
			real[want[i]] = have[i]
		}
	}
	if ran < 15 {
		t.Errorf("the page has %d commands: is its form another?", ran)
	}
}

// inOrder returns the lines of got in the order that they have on the page. An engine does
// not keep the order of lines on stdout and on stderr.
func inOrder(got, page string) string {
	rest := strings.SplitAfter(got, "\n")
	var out []string
	for _, line := range strings.SplitAfter(page, "\n") {
		if i := slices.IndexFunc(rest, func(l string) bool { return shape(l) == shape(line) }); i >= 0 {
			out = append(out, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
	}
	return strings.Join(append(out, rest...), "")
}

// shape is a text without the numbers and times in it.
func shape(text string) string {
	return strings.TrimRight(number.ReplaceAllString(times.ReplaceAllString(text, "N ago"), "N"), "\n")
}
