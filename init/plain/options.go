// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/init/plain/forward"
	"github.com/gateway-init/gateway-init/internal/nearest"
)

// action is the action that a command line asks for.
type action uint8

// Actions.
const (
	runCommand action = iota
	showHelp
	showVersion
	showLicense
)

// Options holds the parsed command line and environment.
type Options struct {
	Action      action
	Subreaper   bool
	Group       bool
	ParentDeath unix.Signal // 0: none
	WarnReaped  bool
	Verbosity   int                     // 0 nothing, 1 warnings, 2 and more events
	Success     [256]bool               // exit codes that become 0
	Rewrite     [forward.Last + 1]uint8 // the signal that each becomes
	User        string
	DropCaps    bool
	Grace       time.Duration // negative: we do not end the other processes
	Command     []string
}

// ErrGateway is the error for an option of gateway mode, which Parse cannot judge.
var ErrGateway = errors.New("an option of gateway mode")

// Options without a value, and options with one. The letter is the option's name.
const (
	flags  = "hvwgslcV"
	values = "per"
)

// longNames are the long options and their short names, or letters of their own.
var longNames = [...]struct {
	name   string
	letter byte
}{
	{"help", 'h'}, {"version", 'V'}, {"verbose", 'v'}, {"single-child", 'c'}, {"rewrite", 'r'}, {"user", 'U'},
	{"drop-caps", 'D'}, {"grace", 'G'}, {"config", gatewayMode}, {"check-config", gatewayMode}, {"no-gateway", gatewayMode},
}

// letter returns a long option's letter. For an unknown option it returns 0, and all
// names.
func letter(name string) (letter byte, known []string) {
	for _, l := range longNames {
		if l.name == name {
			return l.letter, nil
		}
		known = append(known, l.name)
	}
	return 0, known
}

const gatewayMode = 1

// Parse reads options as getopt_long(3) does, up to the first word that is not an
// option. Then it reads tini's variables, which override. Errors are for the user.
func Parse(args []string, getenv func(string) (string, bool)) (Options, error) {
	o := Options{Verbosity: 1, Grace: -1}
	for sig := range o.Rewrite {
		o.Rewrite[sig] = uint8(sig)
	}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		var err error
		if arg[1] == '-' {
			args, err = o.long(arg[2:], args[1:])
		} else {
			args, err = o.short(arg[1:], args[1:])
		}
		if err != nil {
			return o, err
		}
		if o.Action != runCommand {
			return o, nil
		}
	}
	o.Command = args
	if len(args) == 0 {
		return o, errors.New("there is no command to run")
	}
	return o, o.environment(getenv)
}

// short reads a word of one-letter options; the last may have its value in it.
func (o *Options) short(word string, args []string) ([]string, error) {
	for i := range len(word) {
		letter := word[i]
		switch {
		case strings.IndexByte(flags, letter) >= 0:
			if err := o.set(letter, ""); err != nil {
				return nil, err
			}
		case strings.IndexByte(values, letter) >= 0:
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, fmt.Errorf("-%c needs a value", letter)
				}
				value, args = args[0], args[1:]
			}
			return args, o.set(letter, value)
		default:
			return nil, fmt.Errorf("unknown option -%c", letter)
		}
	}
	return args, nil
}

func (o *Options) long(word string, args []string) ([]string, error) {
	name, value, joined := strings.Cut(word, "=")
	letter, known := letter(name)
	switch letter {
	case 0:
		return nil, fmt.Errorf("unknown option --%.64s%s", name, nearest.Hint(name, "--", known))
	case gatewayMode:
		return nil, ErrGateway
	case 'r', 'U', 'G':
		if !joined {
			if len(args) == 0 {
				return nil, fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
	default:
		if joined {
			return nil, fmt.Errorf("--%s takes no value", name)
		}
	}
	return args, o.set(letter, value)
}

func (o *Options) set(letter byte, value string) error {
	switch letter {
	case 'h':
		o.Action = showHelp
	case 'V':
		o.Action = showVersion
	case 'l':
		o.Action = showLicense
	case 's':
		o.Subreaper = true
	case 'g':
		o.Group = true
	case 'c':
		o.Group = false
	case 'w':
		o.WarnReaped = true
	case 'v':
		o.Verbosity++
	case 'D':
		o.DropCaps = true
	case 'U':
		o.User = value
		if value == "" {
			return errors.New("--user needs a user: give NAME, NAME:GROUP, UID or UID:GID")
		}
	case 'p':
		n, ok := signalNumber(value)
		if !ok {
			return fmt.Errorf("%.32q is no signal: give -p a name like SIGTERM, or a number from 1 to 64", value)
		}
		o.ParentDeath = unix.Signal(n)
	case 'e':
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return fmt.Errorf("%.32q is no exit code: give -e a number from 0 to 255", value)
		}
		o.Success[n] = true
	case 'r':
		return o.rewrite(value)
	case 'G':
		return o.grace(value)
	}
	return nil
}
