// Package environ builds the environments of children: made here, or inherited
// without what must not pass, and with one entry a name.
package environ

import (
	"strings"

	"gatewayinit/internal/users"
)

// DefaultPath is PATH of everything we build an environment for.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// List is an environment under construction: one entry a name, the later one
// wins.
type List []string

func (e List) lookup(name string) (int, bool) {
	for i, kv := range e {
		if k, _, ok := strings.Cut(kv, "="); ok && k == name {
			return i, true
		}
	}
	return 0, false
}

// Value is a variable's.
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

// Clean is an environment with one entry a name, without entries that are no
// assignment.
func Clean(env []string) List {
	var e List
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			e.Set(k, v)
		}
	}
	return e
}

// identity is what login(1) would set.
func (e *List) identity(u users.User) {
	e.Set("HOME", u.Home)
	e.Set("USER", u.Name)
	e.Set("LOGNAME", u.Name)
	e.Set("SHELL", u.Shell)
}

// Base is where an environment that is made begins.
func Base(u users.User) List {
	e := List{"PATH=" + DefaultPath}
	e.identity(u)
	e.Set("LANG", "C.UTF-8")
	return e
}

// Extend adds env, and of from what pass names. The token's variable is in
// neither; whoever starts the child adds it.
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

// Built is the environment of a gateway or sidecar: made here, not inherited.
func Built(u users.User, env, pass []string, container List, tokenEnv string) []string {
	return Base(u).Extend(env, pass, container, tokenEnv)
}

// Inherited is the environment of the container's command: the container's,
// as every init hands it on, with the user's own identity and never with a
// variable of the token's name.
func Inherited(u users.User, container List, tokenEnv string) []string {
	e := append(List(nil), container...)
	e.remove(tokenEnv)
	if _, ok := e.lookup("PATH"); !ok {
		e.Set("PATH", DefaultPath)
	}
	e.identity(u)
	return e
}
