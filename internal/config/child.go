// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// command is the field of a program and its arguments.
type command []string

func (f *command) read(d *decoder, n node) { *f = d.command(n) }
func (f *command) show(int) string         { return quoteAll(*f) }

func (f *command) manual() (kind, accepted string) {
	return "list of strings", fmt.Sprintf("1 to %d; the first is the program's absolute path", maxArgs)
}

func (d *decoder) command(n node) (argv []string) {
	d.list(n, maxArgs, func(n node) { argv = append(argv, d.argument(n)) })
	if len(argv) == 0 || !path.IsAbs(argv[0]) {
		d.fail(n, "does not start with the absolute path of a program")
	}
	return argv
}

// argument returns an argument or a variable's value. execve(2) ends strings at
// NUL; a line end is almost always an editing mistake and splits log lines.
func (d *decoder) argument(n node) string {
	if d.is(n, strictjson.String) && strings.ContainsAny(n.Str, "\x00\n\r") {
		d.fail(n, "holds a NUL or a line end")
	}
	return n.Str
}

// env is the field of variables, as NAME=value.
type env []string

func (f *env) read(d *decoder, n node) {
	d.members(n, maxEnv, func(m strictjson.Member, at node) {
		if !validEnvName(m.Key) {
			d.fail(nameNode(m, at), "%s", envName.problem)
		}
		d.at[at.key] = m.Value
		*f = append(*f, m.Key+"="+d.argument(at))
	})
}

func (f *env) show(depth int) string {
	return group(depth, "{}", each(len(*f), func(i int) string {
		name, value, _ := strings.Cut((*f)[i], "=")
		return pair(name, quoteJSON(value))
	}))
}

func (f *env) manual() (kind, accepted string) {
	return "object of strings", fmt.Sprintf("at most %d; names of %s; values without NUL and line end", maxEnv, envLetters)
}

// passEnv is the field of names of variables.
type passEnv []string

func (f *passEnv) read(d *decoder, n node) {
	d.list(n, maxEnv, func(n node) {
		var name string
		if (&word{&name, &envName}).read(d, n); isLoaderVariable(name) {
			d.fail(n, "%.64s changes what a program loads or runs: write it in env, with its value", name)
		}
		*f = append(*f, name)
	})
}

func (f *passEnv) show(int) string { return quoteAll(*f) }

func (f *passEnv) manual() (kind, accepted string) {
	return "list of strings", fmt.Sprintf("at most %d names: %s; no loader variable", maxEnv, envLetters)
}

// The variables that isLoaderVariable knows, by prefix and by whole name.
const (
	loaderPrefixes = "LD_ DYLD_ PYTHON PERL5 GCONV_ MALLOC_ GLIBC_ NPM_CONFIG_ npm_config_"
	loaderNames    = "BASH_ENV ENV IFS PS4 SHELLOPTS BASHOPTS" +
		" NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS RUBYOPT RUBYLIB PERLLIB" +
		" GODEBUG GOTRACEBACK GOGC GOMEMLIMIT" +
		" JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS DOTNET_STARTUP_HOOKS LUA_INIT" +
		" LOCPATH NLSPATH TMPDIR OPENSSL_CONF SSLKEYLOGFILE"
)

// isLoaderVariable reports whether a variable changes what a program loads or how it
// is interpreted. Any user who may add to the container's environment could run
// code with it, so only a value in the root-owned file counts.
func isLoaderVariable(name string) bool {
	return slices.Contains(strings.Fields(loaderNames), name) ||
		slices.ContainsFunc(strings.Fields(loaderPrefixes), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// clients is the field of the clients, in the order of the file. The parser has
// refused duplicate names.
type clients []Client

func (f *clients) read(d *decoder, n node) {
	d.members(n, maxClients, func(m strictjson.Member, at node) {
		c := Client{m.Key, d.command(at)}
		if !plainName(c.Name) {
			d.fail(at, "is no name for a client (accepted: 1 to 32 of %s)", nameChars)
		}
		*f = append(*f, c)
	})
}

func (f *clients) show(depth int) string {
	return group(depth, "{}", each(len(*f), func(i int) string { return pair((*f)[i].Name, quoteAll((*f)[i].Command)) }))
}

func (f *clients) manual() (kind, accepted string) {
	return "object of lists of strings", fmt.Sprintf("at most %d; names of 1 to 32 of %s; each as gateway.command", maxClients, nameChars)
}
