// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// word returns an argument or a variable's value. execve(2) ends strings at NUL; a
// line end is almost always an editing mistake and splits log lines.
func (d *decoder) word(n node) string {
	if d.is(n, strictjson.String) && strings.ContainsAny(n.Str, "\x00\n\r") {
		d.fail(n, "holds a NUL or a line end")
	}
	return n.Str
}

func (d *decoder) command(n node, to *[]string) {
	*to = nil
	d.list(n, maxArgs, func(n node) { *to = append(*to, d.word(n)) })
	if len(*to) == 0 || !path.IsAbs((*to)[0]) {
		d.fail(n, "does not start with the absolute path of a program")
	}
}

// user takes a user. Package users checks it against the user database later.
func (d *decoder) user(n node, to *string) {
	d.text(n, to, 128)
	name, group, hasGroup := strings.Cut(*to, ":")
	bad := name == "" || hasGroup && group == "" || strings.ContainsAny(name+group, ": ")
	if bad {
		d.fail(n, "%.64q is not a user (accepted: NAME, NAME:GROUP, UID or UID:GID)", *to)
	}
}

func (d *decoder) envName(n node, to *string) {
	if d.text(n, to, 256); !validEnvName(*to) {
		d.fail(n, "%.64q is not a variable's name (accepted: letters, digits and _, no digit first)", *to)
	}
}

func validEnvName(s string) bool {
	for i, c := range s {
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func (d *decoder) env(n node, to *[]string) {
	if !d.is(n, strictjson.Object) || !d.atMost(n, len(n.Members), maxEnv) {
		return
	}
	for _, m := range n.Members {
		at := node{m.Value, join(n.key, m.Key)}
		if !validEnvName(m.Key) {
			d.fail(node{&strictjson.Value{Line: m.Line, Col: m.Col}, at.key},
				"is not a variable's name (accepted: letters, digits and _, no digit first)")
		}
		d.at[at.key] = m.Value
		*to = append(*to, m.Key+"="+d.word(at))
	}
}

func (d *decoder) passEnv(n node, to *[]string) {
	*to = nil
	d.list(n, maxEnv, func(n node) {
		var name string
		if d.envName(n, &name); LoaderVariable(name) {
			d.fail(n, "%.64s changes what a program loads or runs: write it in env, with its value", name)
		}
		*to = append(*to, name)
	})
}

// The variables that LoaderVariable knows, by prefix and by whole name.
const (
	loaderPrefixes = "LD_ DYLD_ PYTHON PERL5 GCONV_ MALLOC_ GLIBC_ NPM_CONFIG_ npm_config_"
	loaderNames    = "BASH_ENV ENV IFS PS4 SHELLOPTS BASHOPTS" +
		" NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS RUBYOPT RUBYLIB PERLLIB" +
		" GODEBUG GOTRACEBACK GOGC GOMEMLIMIT" +
		" JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS DOTNET_STARTUP_HOOKS LUA_INIT" +
		" LOCPATH NLSPATH TMPDIR OPENSSL_CONF SSLKEYLOGFILE"
)

// LoaderVariable reports whether a variable changes what a program loads or how it
// is interpreted. Any user who may add to the container's environment could run
// code with it, so only a value in the root-owned file counts.
func LoaderVariable(name string) bool {
	return slices.Contains(strings.Fields(loaderNames), name) ||
		slices.ContainsFunc(strings.Fields(loaderPrefixes), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// stopSignals returns the signals that may stop a gateway.
func stopSignals() []string {
	return []string{"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2"}
}

// signalNumber returns the number of a stop signal, or 0 for any other name.
func signalNumber(name string) syscall.Signal {
	switch name {
	case "SIGTERM":
		return syscall.SIGTERM
	case "SIGINT":
		return syscall.SIGINT
	case "SIGQUIT":
		return syscall.SIGQUIT
	case "SIGHUP":
		return syscall.SIGHUP
	case "SIGKILL":
		return syscall.SIGKILL
	case "SIGUSR1":
		return syscall.SIGUSR1
	case "SIGUSR2":
		return syscall.SIGUSR2
	}
	return 0
}

func (d *decoder) signal(n node, to *syscall.Signal) {
	var name string
	d.choice(n, &name, stopSignals()...)
	*to = signalNumber(name)
}

// mode takes four octal digits. It refuses a directory that others could write,
// because they could plant files there that the gateway then opens.
func (d *decoder) mode(n node, to *uint32) {
	v, err := strconv.ParseUint(n.Str, 8, 32)
	if d.is(n, strictjson.String) && (err != nil || len(n.Str) != 4 || v > 0o777 || v&0o022 != 0) {
		d.fail(n, "%.64q is not a mode (accepted: \"0000\" to \"0755\", not writable by group or others)", n.Str)
	}
	*to = uint32(v)
}

func (d *decoder) sidecarName(n node, to *string) {
	d.text(n, to, maxName)
	taken := slices.Contains([]string{"init", "gateway", "command"}, *to) // origins of log lines
	if !plainName(*to) || taken {
		d.fail(n, "%.64q is no name for a sidecar (accepted: a-z, 0-9 and -, not init, gateway or command)", *to)
	}
}

const maxName = 32 // of a sidecar, of a client

func plainName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// clients takes the clients in the order of the file. The parser has refused
// duplicate names.
func (d *decoder) clients(n node) {
	if !d.is(n, strictjson.Object) || !d.atMost(n, len(n.Members), maxClients) {
		return
	}
	for _, m := range n.Members {
		c, at := Client{Name: m.Key}, node{m.Value, join(n.key, m.Key)}
		if d.command(at, &c.Command); !plainName(c.Name) {
			d.fail(at, "is no name for a client (accepted: 1 to 32 of a-z, 0-9 and -)")
		}
		d.c.Clients = append(d.c.Clients, c)
	}
}
