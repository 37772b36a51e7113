// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/nearest"
)

// usage is the help text of the command line.
const usage = `usage: gateway-init [--config FILE] [--no-gateway] [--] [COMMAND [ARG...]]
       gateway-init --check-config [FILE]
       gateway-init --version | --help

The init of a container with an agent and its gateway: PID 1. It launches the
gateway under its own user, COMMAND as the sandbox user, and is operated with
gatewayctl. Without COMMAND the container lives as long as PID 1. Where there is
no /etc/gateway-init it is an init and nothing more, with options of its own.

  --config FILE          the configuration (default ` + config.DefaultFile + `)
  --no-gateway           run COMMAND only
  --check-config [FILE]  validate, print the effective values, and end
`

// mode is one of the modes of the command line.
type mode uint8

const (
	runMode mode = iota
	checkMode
	versionMode
	helpMode
)

var options = []string{"--config", "--no-gateway", "--check-config", "--version", "--help"}

// settings is the parsed command line.
type settings struct {
	mode      mode
	config    string
	given     bool // --config was given
	noGateway bool
	command   []string
}

// parseArgs reads options up to the first word that is not an option. The
// remaining words belong to the command, even if they look like options.
func parseArgs(args []string) (settings, error) {
	s := settings{config: config.DefaultFile}
	for len(args) > 0 {
		arg := args[0]
		value, joined := "", false
		if strings.HasPrefix(arg, "--") {
			arg, value, joined = strings.Cut(arg, "=")
		}
		args = args[1:]
		switch arg {
		case "--config":
			if !joined {
				if len(args) == 0 {
					return s, fmt.Errorf("--config needs a file")
				}
				value, args = args[0], args[1:]
			}
			if value == "" {
				return s, fmt.Errorf("--config needs a file")
			}
			s.config, s.given, joined = value, true, false
		case "--no-gateway":
			s.noGateway = true
		case "--check-config":
			s.mode = checkMode
			if joined {
				s.config, joined = value, false
			} else if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				s.config, args = args[0], args[1:]
			}
		case "--version":
			s.mode = versionMode
		case "--help", "-h":
			s.mode = helpMode
		case "--":
			if joined {
				return s, fmt.Errorf("unknown option %q", "--=")
			}
			s.command = args
			return s, s.validate()
		default:
			if strings.HasPrefix(arg, "-") && arg != "-" {
				return s, fmt.Errorf("unknown option %q%s", arg, optionHint(arg))
			}
			s.command = append([]string{arg}, args...)
			return s, s.validate()
		}
		if joined {
			return s, fmt.Errorf("%s takes no value", arg)
		}
	}
	return s, s.validate()
}

// plainOptions are options of plain mode, which users give as they did before they had a
// configuration.
var plainOptions = []string{"--user", "--drop-caps", "--grace", "--rewrite", "-c", "-e", "-g", "-p", "-r", "-s", "-v", "-w"}

func optionHint(arg string) string {
	switch {
	case arg == "--user":
		return notHere + ", and write sandbox.user into the configuration"
	case arg == "--grace":
		return notHere + ", and write gateway.stop.grace into the configuration"
	case slices.Contains(plainOptions, arg):
		return notHere + "; an option of the engine stands before the image"
	}
	if hint := nearest.Hint(arg, "", options); hint != "" {
		return hint
	}
	return ": an option of the engine stands before the image"
}

const notHere = ": it is for images without " + config.DefaultDir + ": leave it out"

func (s settings) validate() error {
	switch {
	case s.mode == checkMode && len(s.command) > 0:
		return fmt.Errorf("--check-config takes one file and no command")
	case s.mode == runMode && s.noGateway && len(s.command) == 0:
		return fmt.Errorf("--no-gateway needs a command")
	case len(s.command) > 0 && s.command[0] == "":
		return fmt.Errorf("the command is an empty word")
	}
	return nil
}
