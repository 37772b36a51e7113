// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/version"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		args []string
		err  string
	}{
		"nothing":               {nil, "no command given"},
		"unknown-command":       {[]string{"explode"}, `unknown command "explode"`},
		"unknown-near":          {[]string{"statsu"}, `unknown command "statsu": did you mean gatewayctl status?`},
		"flag-of-one-hyphen":    {[]string{"logs", "-f"}, "unknown flag -f"},
		"flag-begun":            {[]string{"restart", "--rotate"}, "unknown flag --rotate: did you mean --rotate-token?"},
		"flag-near":             {[]string{"status", "--wach"}, "unknown flag --wach: did you mean --watch?"},
		"global-flag-near":      {[]string{"--versoin"}, "unknown flag --versoin: did you mean --version?"},
		"help-near":             {[]string{"help", "statsu"}, `no help on "statsu": did you mean gatewayctl help status?`},
		"timeout-without-unit":  {[]string{"restart", "--timeout", "30"}, `invalid value "30" for --timeout: it has no unit: write 30s`},
		"drain-without-unit":    {[]string{"restart", "--drain=1.5"}, `invalid value "1.5" for --drain: it has no unit: write 1.5s`},
		"timeout-of-nothing":    {[]string{"wait", "--timeout", "soon"}, `invalid value "soon" for --timeout: it is no duration: write 90s or 2m30s`},
		"timeout-missing":       {[]string{"wait", "--timeout"}, "flag needs an argument: --timeout"},
		"unknown-global-flag":   {[]string{"--force", "status"}, "-force"},
		"unknown-flag":          {[]string{"status", "--force"}, "-force"},
		"argument":              {[]string{"restart", "now"}, `unexpected argument "now"`},
		"relative-runtime-dir":  {[]string{"--runtime-dir", "run", "status"}, "absolute"},
		"timeout-not-duration":  {[]string{"restart", "--timeout", "5"}, "timeout"},
		"timeout-zero":          {[]string{"stop", "--timeout", "0s"}, "--timeout must be"},
		"timeout-negative":      {[]string{"wait", "--timeout", "-1s"}, "--timeout must be"},
		"watch-timeout-zero":    {[]string{"status", "--watch", "--timeout", "0s"}, "--timeout must be"},
		"timeout-no-watch":      {[]string{"status", "--timeout", "0s"}, "--timeout needs --watch"},
		"watch-not-boolean":     {[]string{"status", "--watch=x"}, `invalid boolean value "x" for --watch`},
		"timeout-absurd":        {[]string{"probe", "--timeout", "1000000h"}, "--timeout must be"},
		"drain-zero":            {[]string{"restart", "--drain", "0s"}, "--drain must be"},
		"drain-fraction":        {[]string{"restart", "--drain", "1500ms"}, "whole seconds"},
		"drain-too-long":        {[]string{"restart", "--drain", "25h"}, "--drain must be"},
		"drain-exceeds-timeout": {[]string{"restart", "--drain", "5m", "--timeout", "2m"}, "does not fit"},
		"drain-on-stop":         {[]string{"stop", "--drain", "5s"}, "-drain"},
		"rotate-on-recover":     {[]string{"recover", "--rotate-token"}, "-rotate-token"},
		"token-bad-url":         {[]string{"token", "--url", "ftp://x"}, "--url must begin"},
		"token-empty-url":       {[]string{"token", "--url", ""}, "--url must begin"},
		"metrics-format":        {[]string{"metrics", "--format", "json"}, "--format must be one of [openmetrics prometheus]"},
		"metrics-label":         {[]string{"metrics", "--label", "container"}, `invalid value "container" for --label: it is not NAME=VALUE`},
		"help-unknown":          {[]string{"help", "explode"}, "no help on"},
		"help-two":              {[]string{"help", "stop", "start"}, "no help on"},
		"config-alone":          {[]string{"config"}, "config needs one of: seal"},
		"config-unknown":        {[]string{"config", "sael"}, "config needs one of: seal"},
		"seal-argument":         {[]string{"config", "seal", "x"}, `unexpected argument "x"`},
		"image-two-sources":     {[]string{"verify-image", "--root", "/x", "--image", "y"}, "--image is given beside --root"},
		"image-no-source":       {[]string{"verify-image", "--archive", ""}, "it is empty"},
		"image-sum":             {[]string{"verify-image", "--expect-sha256", "gateway-init=0a"}, "with 64 hex digits"},
		"image-sum-of-what":     {[]string{"verify-image", "--expect-sha256", "node=" + hexToken}, "it is not gateway-init=HEX"},
		"image-two-stdins":      {[]string{"verify-image", "--token-stdin", "--archive", "-"}, "both read stdin"},
		"image-no-token":        {[]string{"verify-image", "--token-stdin"}, "cannot use --token-stdin: it is not a token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.serve(func(*control.Server, control.Request) { t.Error("a request arrived") })
			w.want(w.run(test.args...), exitUsage, "", test.err)
			if lines := strings.Split(w.err.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], "gatewayctl: hint: see: gatewayctl help") {
				t.Errorf("stderr is %q, want a line and a hint", w.err.String())
			}
		})
	}
}

func TestHelp(t *testing.T) {
	w := newFixture(t)
	w.want(w.run("help"), exitOK, "usage: gatewayctl", "")
	golden(t, "help.txt", w.out.String())
	w.want(w.run("-h"), exitOK, "usage: gatewayctl", "")
	manual, err := os.ReadFile(filepath.Join("..", "man", "gatewayctl.1.md"))
	must(t, err)
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		w.want(w.run(append([]string{"help"}, words...)...), exitOK, "usage: gatewayctl "+v.name, "")
		text := w.out.String()
		w.want(w.run(append(words, "--help")...), exitOK, text, "")
		if !strings.Contains(string(manual), "**"+v.name+"**") {
			t.Errorf("the manual page does not explain %s", v.name)
		}
	}
}

func TestGlobalFlagBeforeAndAfter(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.local.Defaults = func() []string { return []string{"/nowhere"} }
	w.want(w.run("--runtime-dir", w.path, "health"), exitOK, "serving: pid 34", "")
	w.local.RuntimeDir = ""
	w.want(w.run("health", "--runtime-dir", w.path), exitOK, "serving: pid 34", "")
	w.local.RuntimeDir = ""
	w.want(w.run("health"), exitNoSupervisor, "no-supervisor", "")
}

func TestOnlyRoot(t *testing.T) {
	w := newFixture(t)
	w.local.EUID++
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if v.name == "verify-image" { // it looks at the image alone, and says itself why it cannot
			words = append(words, "--root", t.TempDir())
			w.want(w.run(words...), exitUsage, "", "give --profile")
			continue
		}
		if v.anyone {
			w.want(w.run(words...), exitOK, "gatewayctl", "")
			continue
		}
		w.want(w.run(words...), exitRefused, "", "not-permitted")
		if !strings.Contains(w.err.String(), "docker exec") {
			t.Errorf("%s: no hint", v.name)
		}
	}
}

func TestVersion(t *testing.T) {
	w := newFixture(t)
	w.want(w.run("version"), exitOK, "gatewayctl "+version.String+"\n", "")
	w.want(w.run("--version"), exitOK, "gatewayctl "+version.String+"\n", "")
	w.record.Version = version.String
	w.publish()
	w.want(w.run("version"), exitOK, "\ngateway-init "+version.String+"\n", "")
	if strings.Contains(w.out.String(), "differ") {
		t.Error("equal versions differ")
	}
	w.record.Version = "0.0.1\x1b"
	w.publish()
	w.want(w.run("version"), exitOK, "gateway-init 0.0.1?\nthey differ", "")
}

// full is a stdout on a full device.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestStdoutFails(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"status", "--watch"}, {"health"}, {"wait"}, {"token"}, {"version"}, {"help"}, {"probe"}} {
		t.Run(strings.Join(args, ""), func(t *testing.T) {
			w := newFixture(t)
			w.serve(func(s *control.Server, r control.Request) {
				s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.OK, OldPID: 1, NewPID: 1})
			})
			w.mint(strings.Repeat("0123456789abcdef", 4))
			w.publish()
			w.app.out = full{}
			code := w.run(args...)
			w.want(code, exitFailed, "", "to stdout: no space left")
			if n := strings.Count(w.err.String(), "\n"); n != 1 {
				t.Errorf("%d lines, want 1: %q", n, w.err.String())
			}
		})
	}
}
