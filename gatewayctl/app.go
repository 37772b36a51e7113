// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/client"
	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/nearest"
)

// stdio holds the standard streams and whether each is a terminal.
type stdio struct {
	in                    io.Reader
	out, err              io.Writer
	inTTY, outTTY, errTTY bool
	files                 client.Stdio // for a client; the same descriptors
}

// app is one run of the program.
type app struct {
	stdio
	color    bool
	env      []string         // the caller's environment, for a client and for a container engine
	local    *operate.Local   // with the value of --runtime-dir
	operator operate.Operator // of the supervisor; nil for a verb that anyone may run
	kernel   clientKernel
}

// verb is one row of the command table.
type verb struct {
	name     string // one word, or two: "config seal"
	args     string // arguments, for the usage line
	summary  string // for the list
	help     string // for help VERB; describes the flags
	anyone   bool   // runs without root
	operands bool   // takes arguments that are not flags
	// setup declares the flags and returns the function that runs after parsing.
	setup func(f *flag.FlagSet) func(a *app, args []string) int
}

// verbs is the command table, in the order of the help.
func verbs() []verb {
	return []verb{
		cmdStatus(), cmdHealth(), cmdMetrics(), cmdRestart(), cmdRecover(), cmdStop(), cmdStart(), cmdReload(), cmdAdopt(), cmdEvict(),
		cmdProbe(), cmdWait(), cmdLogs(), cmdTUI(), cmdExec(), cmdToken(), cmdVerifyImage(), cmdConfigSeal(), cmdVersion(), cmdHelp(),
	}
}

// find returns the verb that args begin with, and the arguments after it.
func find(args []string) (v verb, rest []string, err error) {
	var more []string
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if len(args) >= len(words) && slices.Equal(words, args[:len(words)]) {
			return v, args[len(words):], nil
		}
		if words[0] == args[0] {
			more = append(more, words[1])
		}
	}
	if more != nil {
		return v, nil, fmt.Errorf("%s needs one of: %s", args[0], strings.Join(more, ", "))
	}
	return v, nil, fmt.Errorf("unknown command %.40q%s", args[0], nearest.Hint(args[0], "gatewayctl ", verbNames()))
}

func verbNames() (names []string) {
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return names
}

func lookup(name string) (verb, bool) {
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

// dispatch parses the global flags and the verb's flags, then runs the verb. It
// refuses wrong arguments before any effect.
func (a *app) dispatch(args []string) int {
	global := a.flags("gatewayctl")
	version := global.Bool("version", false, "")
	if err := parseFlags(global, args); err != nil {
		return a.usage(err, "")
	}
	if *version {
		return a.dispatch([]string{"version"})
	}
	if global.NArg() == 0 {
		return a.usage(errors.New("no command given"), "")
	}
	v, rest, err := find(global.Args())
	if err != nil {
		return a.usage(err, "")
	}
	name := v.name
	flags := a.flags(name)
	action := v.setup(flags)
	if err := parseFlags(flags, rest); err != nil {
		return a.usage(err, name)
	}
	if flags.NArg() > 0 && !v.operands {
		return a.usage(fmt.Errorf("unexpected argument %.40q", flags.Arg(0)), name)
	}
	if strings.Contains(a.local.RuntimeDir, "\x00") || (a.local.RuntimeDir != "" && a.local.RuntimeDir[0] != '/') {
		return a.usage(errors.New("--runtime-dir must be an absolute path"), name)
	}
	if !v.anyone {
		if a.operator, err = a.local.Choose(a.env); err != nil {
			return a.fail(exitRefused, fmt.Errorf("cannot %s: %w", name, err),
				"run it as the container's default user: docker exec CONTAINER /usr/local/bin/gatewayctl "+name)
		}
	}
	return action(a, flags.Args())
}

// look is Look without a deadline of its own.
func (a *app) look() operate.View { return a.operator.Look(context.Background()) }

// flags returns a set with the global flags, which may stand before and after
// the verb.
func (a *app) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&a.local.RuntimeDir, "runtime-dir", a.local.RuntimeDir, "")
	return f
}

// usage reports a mistake in the arguments, or prints the help for -h.
func (a *app) usage(err error, name string) int {
	if errors.Is(err, flag.ErrHelp) {
		return a.write(helpText(name))
	}
	hint := "see: gatewayctl help"
	if name != "" {
		hint += " " + name
	}
	return a.fail(exitUsage, err, hint)
}

// fail prints one line for the error and one for each hint. It returns code.
func (a *app) fail(code int, err error, hints ...string) int {
	fmt.Fprintf(a.err, "gatewayctl: %s\n", clean(err.Error()))
	a.hint(hints...)
	return code
}

func (a *app) hint(hints ...string) {
	for _, hint := range hints {
		if hint != "" {
			fmt.Fprintf(a.err, "gatewayctl: hint: %s\n", hint)
		}
	}
}

// failed prints why an Operator failed, and returns the exit code.
func (a *app) failed(err error) int {
	code, hint := operate.Explain(err)
	return a.fail(code, err, a.operator.Advise(hint))
}

// write prints text on stdout. If the write fails, the command fails.
func (a *app) write(text string) int {
	if _, err := io.WriteString(a.out, text); err != nil {
		return a.fail(exitFailed, fmt.Errorf("cannot write to stdout: %w", err), "")
	}
	return exitOK
}

// clean makes text safe for a terminal and keeps it on one line, because a path
// or a title in it may come from another user.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return '?'
		}
		return r
	}, text)
}

// isControl reports whether a terminal may obey r, or show the text after it in another
// place.
func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
