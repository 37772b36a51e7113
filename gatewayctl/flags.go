// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gateway-init/gateway-init/internal/nearest"
)

// parseFlags parses args. Its errors name flags as the manual does, with two hyphens. An
// unknown flag is named as it was written.
func parseFlags(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var known []string
		f.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
		hyphens := "--"
		if slices.ContainsFunc(args, func(arg string) bool { given, _, _ := strings.Cut(arg, "="); return given == "-"+name }) {
			hyphens = "-"
		}
		return fmt.Errorf("unknown flag %s%.40s%s", hyphens, name, nearest.Hint(name, "--", known))
	}
	return errors.New(strings.NewReplacer("for flag -", "for --", "for -", "for --", "argument: -", "argument: --").Replace(err.Error()))
}

// isGiven reports whether the parsed arguments had the flag.
func isGiven(f *flag.FlagSet, name string) (given bool) {
	f.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// span is the value of a flag that is a duration.
type span time.Duration

func (s *span) String() string { return time.Duration(*s).String() }

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	*s = span(d)
	switch {
	case err == nil:
		return nil
	case text != "" && strings.Trim(text, "0123456789.") == "":
		return fmt.Errorf("it has no unit: write %ss", text)
	}
	return errors.New("it is no duration: write 90s or 2m30s")
}

func durationFlag(f *flag.FlagSet, name string, d time.Duration) *time.Duration {
	f.Var((*span)(&d), name, "")
	return &d
}

// timeoutFlag declares --timeout.
func timeoutFlag(f *flag.FlagSet, d time.Duration) *time.Duration {
	return durationFlag(f, "timeout", d)
}

// checkTimeout refuses a timeout that cannot be a deadline.
func (a *app) checkTimeout(name string, d time.Duration) (int, bool) {
	if d <= 0 || d > maxTimeout {
		return a.usage(fmt.Errorf("--timeout must be more than 0 and at most %v", maxTimeout), name), false
	}
	return exitOK, true
}

// maxTimeout bounds --timeout; a drain may take a day.
const maxTimeout = 48 * time.Hour
