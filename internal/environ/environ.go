// SPDX-License-Identifier: Apache-2.0

// Package environ builds the environments of children. They are made here, or
// inherited without the variables that must not pass, and have one entry per name.
package environ

import (
	"strings"

	"github.com/gateway-init/gateway-init/internal/users"
)

// DefaultPath is the PATH of every environment that we build.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// List is an environment under construction. It has one entry per name, and the
// later one wins.
type List []string

func (e List) lookup(name string) (int, bool) {
	for i, kv := range e {
		if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
			return i, true
		}
	}
	return 0, false
}

// Value returns the value of a variable, and whether it is set.
func (e List) Value(name string) (string, bool) {
	i, ok := e.lookup(name)
	if !ok {
		return "", false
	}
	return e[i][len(name)+1:], true
}

// Set adds a variable or replaces its value.
func (e *List) Set(name, value string) {
	kv := name + "=" + value
	if i, ok := e.lookup(name); ok {
		(*e)[i] = kv
		return
	}
	*e = append(*e, kv)
}

func (e *List) remove(name string) {
	if i, ok := e.lookup(name); ok {
		*e = append((*e)[:i], (*e)[i+1:]...)
	}
}

// Clean returns an environment with one entry per name, without entries that are not
// assignments. A cluster puts tens of thousands of variables into a container, so it
// does not search the list for each of them.
func Clean(env []string) List {
	e := make(List, 0, len(env))
	places := make(map[string]int, len(env))
	for _, kv := range env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			continue
		}
		if i, have := places[name]; have {
			e[i] = kv
			continue
		}
		places[name] = len(e)
		e = append(e, kv)
	}
	return e
}

// identity sets the variables that login(1) would set.
func (e *List) identity(u users.User) {
	e.Set("HOME", u.Home)
	e.Set("USER", u.Name)
	e.Set("LOGNAME", u.Name)
	e.Set("SHELL", u.Shell)
}

// Base returns the beginning of an environment that is made here.
func Base(u users.User) List {
	e := List{"PATH=" + DefaultPath}
	e.identity(u)
	e.Set("LANG", "C.UTF-8")
	return e
}

// Extend returns e with env, and with the variables of from that pass names. The
// token's variable is not in the result; the launch of the child adds it.
func (e List) Extend(env, pass []string, from List, tokenEnv string) List {
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		e.Set(k, v)
	}
	for _, name := range pass {
		if v, ok := from.Value(name); ok {
			e.Set(name, v)
		}
	}
	e.remove(tokenEnv)
	return e
}

// Built returns the environment of a gateway or sidecar, which is made here and not
// inherited.
func Built(u users.User, env, pass []string, container List, tokenEnv string) []string {
	return Base(u).Extend(env, pass, container, tokenEnv)
}

// Inherited returns the environment of the container's command. It is the
// container's, as every init passes it on, with the user's own identity and never
// with a variable of the token's name.
func Inherited(u users.User, container List, tokenEnv string) []string {
	e := append(List(nil), container...)
	if tokenEnv != "" {
		e.remove(tokenEnv)
	}
	if _, ok := e.lookup("PATH"); !ok {
		e.Set("PATH", DefaultPath)
	}
	e.identity(u)
	return e
}
