// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
)

// finish fills in values that depend on other keys, whatever their order in the
// file, and checks rules that join several keys.
func (d *decoder) finish() {
	c, g := d.c, &d.c.Gateway
	if len(g.Command) == 0 {
		n := d.where("gateway.command")
		n.key = ""
		d.fail(n, "gateway.command is missing: give the gateway's program and its arguments")
	}
	d.finishListen()
	d.deriveReady()
	if g.BackoffMin > g.BackoffMax {
		d.fail(d.where("gateway.restart.backoff_min", "gateway.restart.backoff_max"),
			"backoff_min %s is above backoff_max %s", shortDuration(g.BackoffMin), shortDuration(g.BackoffMax))
	}
	for _, root := range []string{"/proc", "/sys"} {
		if c.RuntimeDir == "/" || c.RuntimeDir == root || strings.HasPrefix(c.RuntimeDir, root+"/") {
			d.fail(d.where("runtime_dir"), "%.64q cannot hold files (accepted: a directory on a tmpfs)", c.RuntimeDir)
		}
	}
	for i := range c.Prepare {
		if p := &c.Prepare[i]; p.Owner == "" {
			p.Owner = g.User
		}
	}
	d.tokenOnce("gateway", g.TokenEnv, g.Env, g.PassEnv)
	d.tokenOnce("operator", g.TokenEnv, c.OperatorEnv, c.OperatorPassEnv)
	for i := range c.Sidecars {
		d.finishSidecar(i)
	}
}

// where returns the first of the keys that the file has, or else the object that
// should have the first key.
func (d *decoder) where(any ...string) node {
	for _, key := range any {
		if v := d.at[key]; v != nil {
			return node{v, key}
		}
	}
	key := any[0]
	for d.at[key] == nil {
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return node{d.at[key], any[0]}
}

// deriveReady takes the values that ready does not give from health and its timeout. A body belongs
// to its path, so it is taken over only together with the path.
func (d *decoder) deriveReady() {
	g := &d.c.Gateway
	if g.Ready.Path == "" {
		g.Ready.Path = g.Health.Path
		if d.at["gateway.ready.json"] == nil {
			g.Ready.JSON = slices.Clone(g.Health.JSON)
		}
	}
	if g.Ready.Status == nil {
		g.Ready.Status = slices.Clone(g.Health.Status)
	}
	if d.at["gateway.ready.give_up"] == nil {
		g.GiveUp = 4 * g.Ready.Timeout
	}
	if g.GiveUp < g.Ready.Timeout {
		d.fail(d.where("gateway.ready.give_up"), "%s is below gateway.ready.timeout %s", shortDuration(g.GiveUp), shortDuration(g.Ready.Timeout))
	}
}

// tokenOnce refuses another source of the token's variable, which only the re-exec
// child sets.
func (d *decoder) tokenOnce(key, tokenEnv string, env, passEnv []string) {
	for _, kv := range env {
		if strings.HasPrefix(kv, tokenEnv+"=") {
			d.fail(d.where(join(key+".env", tokenEnv)), "is the token's variable, which gateway-init sets itself: take it out of env")
		}
	}
	if slices.Contains(passEnv, tokenEnv) {
		d.fail(d.where(key+".pass_env"), "names the token's variable %.64s, which gateway-init sets itself: take it out of pass_env", tokenEnv)
	}
	if isLoaderVariable(tokenEnv) {
		d.fail(d.where(key+".token_env"), "%.64s changes what a program loads or runs", tokenEnv)
	}
}

// check refuses a check that proves nothing.
func (a *AuthCheck) check(d *decoder, n node) {
	if a.Method == "GET" && a.Body != "" {
		d.fail(n, "has a body, which GET does not send (accepted: method POST)")
	}
	for _, code := range a.WithToken {
		if slices.Contains(a.WithoutToken, code) {
			d.fail(n, "status %d stands in with_token and in without_token, so it proves nothing", code)
		}
	}
}

func (d *decoder) finishSidecar(i int) {
	g, s := &d.c.Gateway, &d.c.Sidecars[i]
	key := fmt.Sprintf("sidecars[%d]", i)
	if s.User == "" {
		s.User = d.c.SandboxUser
	}
	if slices.ContainsFunc(d.c.Sidecars[:i], func(o Sidecar) bool { return o.Name == s.Name }) {
		d.fail(d.where(key+".name"), "%q is the name of another sidecar", s.Name)
	}
	// A preset of the gateway's variable in the container's environment is
	// dropped for every child.
	if slices.Contains(s.PassEnv, g.TokenEnv) {
		d.fail(d.where(key+".pass_env"), "names %.64s, the gateway's token: give the sidecar token_env", g.TokenEnv)
	}
	if s.TokenEnv == "" {
		return
	}
	if s.User != g.User && s.User != d.c.OperatorUser {
		d.fail(d.where(key+".token_env"), "is not for user %.64s (accepted: only with the gateway's user %.64s or the operator's %.64s)",
			s.User, g.User, d.c.OperatorUser)
	}
	d.tokenOnce(key, s.TokenEnv, s.Env, s.PassEnv)
}
