// SPDX-License-Identifier: Apache-2.0

package nodeflags

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestIsNode(t *testing.T) {
	for program, want := range map[string]bool{
		"/usr/bin/node": true, "/usr/bin/nodejs": true, "node": true, "/usr/bin/node-22": true, "/opt/node24": true, "/opt/nodejs-24.1": true,
		"/usr/bin/node_exporter": false, "/usr/bin/nodemon": false, "/usr/bin/python3": false, "/node/bin/sh": false, "": false, "/": false,
	} {
		if got := IsNode(program); got != want {
			t.Errorf("IsNode(%q) is %t", program, got)
		}
	}
}

const missing = "SIGUSR1 opens the debugger"

func TestProblems(t *testing.T) {
	const closed = "--disable-sigusr1"
	for name, c := range map[string]struct {
		argv, options string   // without the program's name
		want          []string // each in one problem, in order
	}{
		"nothing":                {"/app.js", "", []string{missing}},
		"no-arguments":           {"", "", []string{missing}},
		"before-the-script":      {closed + " /app.js", "", nil},
		"after-the-script":       {"/app.js " + closed, "", []string{missing}},
		"after-the-end":          {"-- /app.js " + closed, "", []string{missing}},
		"in-node-options":        {"/app.js", closed, nil},
		"underscores":            {"/app.js", "--disable_sigusr1", nil},
		"taken-back":             {closed + " --no-disable-sigusr1 /app.js", "", []string{missing}},
		"taken-back-by-argv":     {"--no_disable_sigusr1 /app.js", closed, []string{missing}},
		"given-again-by-argv":    {closed + " /app.js", "--no-disable-sigusr1", nil},
		"with-a-value":           {closed + "=false /app.js", "", []string{missing}},
		"with-one-dash":          {"-disable-sigusr1 /app.js", "", []string{missing}},
		"value-of-another":       {"--title " + closed + " /app.js", "", []string{missing}},
		"behind-a-value":         {"-r /a.js --import /b.mjs -C x --title=t --stack-size=1 " + closed + " /app.js", "", nil},
		"v8-has-no-value":        {"--stack-size 1 " + closed + " /app.js", "", []string{missing}},
		"print-takes-a-word":     {"-p 1 " + closed, "", nil},
		"print-takes-no-option":  {"-p " + closed, "", nil},
		"stdin":                  {"- " + closed, "", []string{missing}},
		"argument-is-no-option":  {closed + " /app.js --inspect --report-on-signal", "", nil},
		"inspect":                {closed + " --inspect /app.js", "", []string{"--inspect opens the debugger"}},
		"inspect-brk":            {closed + " --inspect_brk=0.0.0.0:1 /app.js", "", []string{"--inspect-brk opens the debugger"}},
		"inspect-in-options":     {"/app.js", closed + " --inspect-wait", []string{"--inspect-wait in NODE_OPTIONS opens the debugger"}},
		"inspect-port":           {closed + " --inspect-port 0 --debug-port=1 /app.js", "", []string{"--inspect-port opens", "--debug-port opens"}},
		"debug":                  {closed + " --debug --debug-brk /app.js", "", []string{"--debug opens", "--debug-brk opens"}},
		"debugger":               {closed + " inspect /app.js", "", []string{"node inspect is the debugger"}},
		"old-debugger":           {closed + " debug /app.js", "", []string{"node debug is the debugger"}},
		"script-in-inspect":      {closed + " /inspect", "", nil},
		"snapshot-signal":        {closed + " --heapsnapshot-signal SIGUSR2 /app.js", "", []string{"--heapsnapshot-signal writes the memory"}},
		"snapshot-near-limit":    {"/app.js", closed + " --heapsnapshot-near-heap-limit=3", []string{"--heapsnapshot-near-heap-limit in NODE_OPTIONS writes the memory"}},
		"snapshot-of-v8":         {closed + " -heap_snapshot_on_oom /app.js", "", []string{"--heap-snapshot-on-oom writes the memory"}},
		"snapshot-string-limit":  {closed + " --heap-snapshot-string-limit=9 /app.js", "", nil},
		"report":                 {closed + " --report-on-signal --report-on-fatalerror --report-uncaught-exception=x /app.js", "", []string{"--report-on-signal writes the environment", "--report-on-fatalerror", "--report-uncaught-exception"}},
		"report-without-env":     {closed + " --report-on-signal --report-exclude-env /app.js", "", nil},
		"report-env-elsewhere":   {closed + " --report-on-signal /app.js", "--report-exclude-env", nil},
		"report-with-env-again":  {closed + " --report-on-signal --no-report-exclude-env /app.js", "--report-exclude-env", []string{"--report-on-signal"}},
		"report-env-by-value":    {closed + " --report-on-signal --report-exclude-env=no /app.js", "", []string{"--report-on-signal"}},
		"report-taken-back":      {closed + " --no-report-on-signal /app.js", "--report-on-signal", nil},
		"report-settings":        {closed + " --report-dir /tmp --report-compact /app.js", "", nil},
		"report-signal":          {closed + " --report-signal=SIGUSR2 /app.js", "", []string{"--report-signal writes the environment"}},
		"report-signal-by-env":   {"/app.js", closed + " --report-signal SIGUSR2", []string{"--report-signal writes the environment"}},
		"env-file":               {closed + " --env-file /app.env /app.js", "", []string{"--env-file can set NODE_OPTIONS from a file"}},
		"env-file-if-exists":     {closed + " --env-file-if-exists=/app.env /app.js", "", []string{"--env-file-if-exists can set"}},
		"config-file":            {closed + " --experimental-config-file=/c --experimental-default-config-file --config-file /c /app.js", "", []string{"--experimental-config-file can", "--experimental-default-config-file can", "--config-file can"}},
		"options-quoted":         {"/app.js", `--title "a \"b --inspect" ` + closed, nil},
		"options-quote-in-word":  {"/app.js", `--dis"able-sig"usr1`, nil},
		"options-no-end":         {"/app.js", closed + ` --title "a`, []string{"a quote without its end"}},
		"options-escape-no-end":  {"/app.js", closed + ` "a\`, []string{"a quote without its end"}},
		"options-tab":            {"/app.js", "--title=a\t" + closed, []string{missing}},
		"options-stray":          {"/app.js", "x " + closed + " --inspect", []string{"a word that is not an option", "--inspect in NODE_OPTIONS", missing}},
		"options-stray-but-argv": {closed + " /app.js", "x", []string{"a word that is not an option"}},
		"options-twice":          {"/app.js", closed + " --inspect --inspect", []string{"--inspect"}},
		"value-without-word":     {closed + " --title", "", nil},
		"long":                   {closed + " --inspect" + strings.Repeat("x", 99) + " /app.js", "", []string{"--inspectxxx"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Problems(append([]string{"/usr/bin/node"}, strings.Fields(c.argv)...), c.options)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) || len(got[i]) > 200 {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
	if got := Problems(nil, ""); len(got) != 1 {
		t.Errorf("nothing at all: %q", got)
	}
}

// TestOptionsWithValueOfNode compares the list with that of a real Node, if there is
// one. An unknown option would hide those after it.
func TestOptionsWithValueOfNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node in PATH")
	}
	help, err := exec.Command(node, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, m := range regexp.MustCompile(`(?m)^  ((?:-[\w-]+, )*--[\w-]+)=(?:\.\.\.|\[)`).FindAllStringSubmatch(string(help), -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			seen++
			if !slices.Contains(optionsWithValue(), name) && name != "--experimental-default-config-file" { // a switch beside its longer form
				t.Errorf("%s takes a value", name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("found %d options with values in node --help", seen)
	}
}

// FuzzProblems checks that no command line and no NODE_OPTIONS passes without the one
// option, and that none makes the package fail.
func FuzzProblems(f *testing.F) {
	f.Add("--title a /app.js", "--require x")
	f.Add("-p 1 --disable-sigusr1", `--title "a\"b"`)
	f.Add("inspect", `"`)
	f.Fuzz(func(t *testing.T, argv, options string) {
		got := Problems(strings.Split("node "+argv, " "), options)
		text := strings.ReplaceAll(argv+options, "_", "-")
		if !strings.Contains(strings.NewReplacer(`"`, "", `\`, "").Replace(text), "--disable-sigusr1") && len(got) == 0 {
			t.Errorf("%q with NODE_OPTIONS %q is found closed", argv, options)
		}
	})
}
