// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// parse reads a command line as if from a shell without quotes.
func parse(line string, env ...string) (Options, error) {
	return Parse(strings.Fields(line), func(name string) (string, bool) {
		for _, kv := range env {
			if value, ok := strings.CutPrefix(kv, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
}

// TestParse: getopt's ways to write an option, and each option's effect.
func TestParse(t *testing.T) {
	base, err := parse("true")
	if err != nil || !slices.Equal(base.Command, []string{"true"}) || base.Verbosity != 1 || base.Grace >= 0 || base.Rewrite[15] != 15 || base.Rewrite[64] != 64 {
		t.Fatalf("%+v, %v", base, err)
	}
	for line, change := range map[string]func(*Options){
		"-s true":                       func(o *Options) { o.Subreaper = true },
		"-sg true":                      func(o *Options) { o.Subreaper, o.Group = true, true },
		"-g -c true":                    func(*Options) {},
		"-c -g true":                    func(o *Options) { o.Group = true },
		"--single-child true":           func(*Options) {},
		"-vvv true":                     func(o *Options) { o.Verbosity = 4 },
		"-v --verbose true":             func(o *Options) { o.Verbosity = 3 },
		"-w true":                       func(o *Options) { o.WarnReaped = true },
		"-p SIGKILL true":               func(o *Options) { o.ParentDeath = unix.SIGKILL },
		"-pterm -- true":                func(o *Options) { o.ParentDeath = unix.SIGTERM },
		"-p 64 true":                    func(o *Options) { o.ParentDeath = 64 },
		"-wp9 true":                     func(o *Options) { o.WarnReaped, o.ParentDeath = true, unix.SIGKILL },
		"-e 0 -e255 true":               func(o *Options) { o.Success[0], o.Success[255] = true, true },
		"-r 15:2 true":                  func(o *Options) { o.Rewrite[15] = 2 },
		"--rewrite=SIGTERM:SIGINT true": func(o *Options) { o.Rewrite[15] = 2 },
		"--rewrite usr1:0 true":         func(o *Options) { o.Rewrite[10] = 0 },
		"-r RTMIN:RTMAX -r SIGRTMIN+30:rtmax-30 true": func(o *Options) { o.Rewrite[34], o.Rewrite[64] = 64, 34 },
		"--user nobody:mail true":                     func(o *Options) { o.User = "nobody:mail" },
		"--user=1:2 true":                             func(o *Options) { o.User = "1:2" },
		"--drop-caps true":                            func(o *Options) { o.DropCaps = true },
		"--grace 0 true":                              func(o *Options) { o.Grace = 0 },
		"--grace=5 true":                              func(o *Options) { o.Grace = 5 * time.Second },
		"--grace 250ms true":                          func(o *Options) { o.Grace = 250 * time.Millisecond },
		"-- true":                                     func(*Options) {},
		"true -s --bad -e x":                          func(o *Options) { o.Command = strings.Fields("true -s --bad -e x") },
		"-- -s":                                       func(o *Options) { o.Command = []string{"-s"} },
		"- x":                                         func(o *Options) { o.Command = []string{"-", "x"} },
	} {
		want := base
		want.Command = []string{"true"}
		change(&want)
		if got, err := parse(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
	for line, want := range map[string]action{"-h": showHelp, "--help -x": showHelp, "-sh": showHelp, "--version": showVersion, "-V": showVersion, "-l": showLicense} {
		if got, err := parse(line); err != nil || got.Action != want {
			t.Errorf("%s: %v, %v", line, got.Action, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"": "no command", "-s": "no command", "-s --": "no command", "-x true": "unknown option -x", "-sx true": "unknown option -x",
		"--subreaper true": "unknown option --subreaper", "--usr x true": "unknown option --usr: did you mean --user?", "-p": "-p needs a value", "-e": "-e needs a value", "-r": "-r needs a value",
		"--user": "--user needs a value", "--user= true": "needs a user", "--grace": "--grace needs a value", "--rewrite": "needs a value",
		"--drop-caps=1 true": "takes no value", "--help=x": "takes no value",
		"-p 0 true": "no signal", "-p 65 true": "no signal", "-p +9 true": "no signal", "-p SIGNO true": "no signal", "-p RTMIN-1 true": "no signal",
		"-p RTMAX+1 true": "no signal", "-p RTMIN3 true": "no signal", "-p RTMINx true": "no signal", "-p SIG true": "no signal",
		"-e 256 true": "no exit code", "-e -1 true": "no exit code", "-e x true": "no exit code", "-e 1x true": "no exit code",
		"-r 15 true": "no rewrite", "-r 15: true": "no rewrite", "-r :15 true": "no rewrite", "-r 0:15 true": "no rewrite", "-r 15:65 true": "no rewrite",
		"-r 1:2:3 true": "no rewrite", "--grace -1s true": "no time", "--grace x true": "no time", "--grace 25h true": "no time", "--grace= true": "no time",
	} {
		if _, err := parse(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	for _, line := range []string{"--config x true", "--config=x", "-s --check-config", "--no-gateway true"} {
		if _, err := parse(line); !errors.Is(err, ErrGateway) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestEnvironment: tini's variables; the verbosity overrides -v.
func TestEnvironment(t *testing.T) {
	o, err := parse("-vv true", "TINI_SUBREAPER=", "TINI_KILL_PROCESS_GROUP=1", "TINI_VERBOSITY=0")
	if err != nil || !o.Subreaper || !o.Group || o.Verbosity != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse("-v true", "TINI_VERBOSITY="); err != nil || o.Verbosity != 2 {
		t.Errorf("empty: verbosity %d, %v", o.Verbosity, err)
	}
	if _, err := parse("true", "TINI_VERBOSITY=loud"); err == nil || !strings.Contains(err.Error(), "TINI_VERBOSITY") {
		t.Errorf("got %v", err)
	}
}

// TestSignalNames: each name is read back as its number.
func TestSignalNames(t *testing.T) {
	for sig := 1; sig <= 31; sig++ {
		if n, ok := signalNumber(signalName(sig)); !ok || n != sig {
			t.Errorf("%s is %d, not %d", signalName(sig), n, sig)
		}
	}
	if got := signalName(40); got != "signal 40" {
		t.Errorf("got %q", got)
	}
}

// FuzzParse: whatever the words are, options come from those before the command
// and the command is the rest, unchanged.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"-s\x00--\x00true", "-e\x007\x00-r15:2\x00x\x00-y", "--user=a:b\x00--grace\x0010s\x00c", "-vvgwsp\x00KILL\x00a", "--rewrite"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		o, err := Parse(args, func(string) (string, bool) { return "", false })
		if err != nil || o.Action != runCommand {
			return
		}
		if n := len(args) - len(o.Command); n < 0 || len(o.Command) == 0 || !slices.Equal(args[n:], o.Command) {
			t.Errorf("%q: the command is %q", args, o.Command)
		}
		for sig, to := range o.Rewrite {
			if to > 64 || sig == 0 && to != 0 {
				t.Errorf("%q: signal %d becomes %d", args, sig, to)
			}
		}
	})
}
