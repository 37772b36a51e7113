package boot

import (
	"strings"

	"gatewayinit/internal/users"
)

// defaultPath is PATH of everything we build an environment for.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is an environment under construction: one entry a name, the later
// one wins.
type environ []string

func (e environ) lookup(name string) (int, bool) {
	for i, kv := range e {
		if k, _, ok := strings.Cut(kv, "="); ok && k == name {
			return i, true
		}
	}
	return 0, false
}

func (e environ) value(name string) (string, bool) {
	i, ok := e.lookup(name)
	if !ok {
		return "", false
	}
	return e[i][len(name)+1:], true
}

func (e *environ) set(name, value string) {
	kv := name + "=" + value
	if i, ok := e.lookup(name); ok {
		(*e)[i] = kv
		return
	}
	*e = append(*e, kv)
}

func (e *environ) remove(name string) {
	if i, ok := e.lookup(name); ok {
		*e = append((*e)[:i], (*e)[i+1:]...)
	}
}

// clean is the container's environment with one entry a name, without entries
// that are no assignment.
func clean(env []string) environ {
	var e environ
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			e.set(k, v)
		}
	}
	return e
}

// identity is what login(1) would set.
func (e *environ) identity(u users.User) {
	e.set("HOME", u.Home)
	e.set("USER", u.Name)
	e.set("LOGNAME", u.Name)
	e.set("SHELL", u.Shell)
}

// built is the environment of a gateway or sidecar: made here, not inherited.
// The token is not in it; the stage adds it.
func built(u users.User, env []string, pass []string, container environ, tokenEnv string) []string {
	e := environ{"PATH=" + defaultPath}
	e.identity(u)
	e.set("LANG", "C.UTF-8")
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		e.set(k, v)
	}
	for _, name := range pass {
		if v, ok := container.value(name); ok {
			e.set(name, v)
		}
	}
	e.remove(tokenEnv)
	return e
}

// inherited is the environment of the container's command: the container's,
// as every init hands it on, with the user's own identity and never with a
// variable of the token's name.
func inherited(u users.User, container environ, tokenEnv string) []string {
	e := append(environ(nil), container...)
	e.remove(tokenEnv)
	if _, ok := e.lookup("PATH"); !ok {
		e.set("PATH", defaultPath)
	}
	e.identity(u)
	return e
}
