// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// breakage is a change to a good image, and all checks that fail then.
type breakage struct {
	make   func(testing.TB) *fixture
	change func(f *fixture)
	want   []string // nil for the check that names the group
	detail string   // in the detail of the first of want
}

const secretConfig = `{"gateway":{"auth":{"token":"s3cret"}}}`

// inFiles returns changes to files, which every source has.
func inFiles() map[string]map[string]breakage {
	return map[string]map[string]breakage{
		"init": {
			"mode":      {demo, mode(initPath, 0o700), nil, "mode 0700, not 0711: chmod it"},
			"readable":  {demo, mode(initPath, 0o755), nil, "mode 0755, not 0711: launch-traceable: "},
			"owner":     {demo, owner(initPath, 9002), nil, "owned by 9002:9002: chown 0:0 it"},
			"two-links": {demo, put("/usr/bin/second", entry{hard: initPath}), nil, "has 2 links"},
		},
		"ctl": {
			"two-links": {demo, put("/usr/bin/second", entry{hard: ctlPath}), nil, "has 2 links"},
			"group-may": {demo, mode(ctlPath, 0o710), nil, "mode 0710, not 0700: chmod it"},
		},
		"relay": {
			"missing":    {demo, remove(relayPath), nil, "/usr/local/sbin/gateway-relay is missing"},
			"readable":   {demo, mode(relayPath, 0o755), nil, "mode 0755, not 0711: chmod it"},
			"owner":      {demo, owner(relayPath, 9004), nil, "owned by 9004:9004: chown 0:0 it"},
			"no-user":    {demo, swap(passwdPath, "relay:x:9004:9004", "other:x:9004:9004"), nil, `/etc/passwd has no line for "relay" of relay.user`},
			"other-role": {demo, swap(config.DefaultFile, `"publish"`, `"relay": {"user": "operator"}, "publish"`), nil, `relay.user "operator" is uid 9003, which is another role's`},
		},
		"config": {
			"group-writable": {demo, mode(config.DefaultFile, 0o664), nil, "writable by others (mode 0664): chmod go-w it"},
			"owner":          {demo, owner(config.DefaultFile, 9002), nil, "owned by 9002:9002"},
			"two-links":      {demo, put("/etc/second", entry{hard: config.DefaultFile}), nil, "has 2 links"},
			"link": {demo, all(put("/etc/real.json", file(0o644, "{}")), put(config.DefaultFile, symlink("../real.json")), profileOf("demo")),
				[]string{"config", "users"}, "is a symbolic link, not a regular file"},
			"unknown-key": {demo, all(swap(config.DefaultFile, `"prepare"`, `"prepair"`), profileOf("demo")), []string{"config", "users"}, "prepair: unknown key"},
			"too-large": {demo, all(edit(config.DefaultFile, func(e entry) entry { return e.text(e.data + strings.Repeat(" ", config.MaxSize)) }), profileOf("demo")),
				[]string{"config", "users"}, "accepted: at most 65536"},
			"missing": {demo, all(remove(config.DefaultFile), profileOf("demo")), []string{"config", "users"}, "is missing"},
		},
		"profile": {
			"token-variable": {demo, profileOf("hermes"), nil, "gateway.token_env is OPENCLAW_GATEWAY_TOKEN, hermes reads API_SERVER_KEY"},
			"command":        {hermes, profileOf("demo"), nil, "gateway.command is not that of demo"},
		},
		"parents": {
			"group-writable": {demo, mode("/etc/gateway-init", 0o775), nil, "/etc/gateway-init is writable by others (mode 0775)"},
			"owner":          {demo, owner("/usr/local/sbin", 9001), nil, "/usr/local/sbin is owned by uid 9001"},
			"of-own-config":  {openclaw, mode("/etc/openclaw", 0o775), nil, "/etc/openclaw is writable by others"},
		},
		"programs": {
			"group-writable": {demo, mode("/usr/local/bin/demogateway", 0o775), nil, "demogateway is writable by others (mode 0775)"},
			"owner":          {demo, owner("/usr/local/bin/demogateway", 9001), nil, "is owned by uid 9001"},
			"not-executable": {demo, mode("/usr/local/bin/demogateway", 0o644), nil, "is not executable: chmod a+x it"},
			"missing":        {demo, remove("/usr/local/bin/demogateway"), nil, "does not exist"},
			"folder":         {demo, edit("/usr/local/bin/demogateway", func(entry) entry { return dir(0o755, 0) }), nil, "is a directory, not a regular file"},
			"link":           {hermes, put("/opt/hermes/bin", symlink("venv/bin").owned(9002)), nil, "/opt/hermes/bin is owned by uid 9002"},
			"behind-a-link":  {hermes, mode("/opt/hermes/venv", 0o775), nil, "/opt/hermes/venv is writable by others"},
			"loop":           {hermes, put("/opt/hermes/bin", symlink("bin")), nil, "too many levels"},
			"below-a-file":   {hermes, all(put("/opt/hermes/bin", symlink("file")), put("/opt/hermes/file", file(0o755, "x"))), nil, "not a directory"},
			"of-a-sidecar":   {hermes, swap(config.DefaultFile, `"user":"agent"}]`, `"user":"human"}]`), nil, "/sandbox is owned by uid 9002"},
			"script":         {openclaw, owner(package_+"/openclaw.mjs", 9001), []string{"programs", "gateway-code"}, "openclaw.mjs is owned by uid 9001"},
			"no-script": {openclaw, all(swap(config.DefaultFile, `,"/usr/local/lib/node_modules/openclaw/openclaw.mjs","gateway","run"`, ""), profileOf("openclaw")),
				[]string{"profile", "programs"}, "gateway.command is not that of openclaw"},
		},
		"execute-only": {
			"readable": {openclaw, mode(node24, 0o755), nil, "has mode 0755, not 0711"},
			"group":    {openclaw, edit(node24, func(e entry) entry { e.gid = 9001; return e }), nil, "of 0:9001, not a regular file of root"},
			"missing":  {openclaw, remove(node24), []string{"programs", "execute-only"}, "does not exist"},
		},
		"node-debugger": {
			"nothing":      {openclaw, swap(config.DefaultFile, "--disable-sigusr1", "--title=x"), nil, "SIGUSR1 opens the debugger"},
			"inspect":      {openclaw, swap(config.DefaultFile, "--disable-sigusr1", "--disable-sigusr1 --inspect"), nil, "--inspect in NODE_OPTIONS opens the debugger"},
			"after-script": {openclaw, all(swap(config.DefaultFile, "--disable-sigusr1", ""), swap(config.DefaultFile, `"run"`, `"run","--disable-sigusr1"`)), nil, "SIGUSR1"},
			"by-a-script":  {demo, all(script("#!/usr/bin/env node\n"), put("/usr/bin/node", file(0o711, "node"))), nil, "SIGUSR1"},
			"by-a-link":    {demo, all(put("/usr/local/bin/demogateway", symlink("/usr/bin/nodejs-22")), put("/usr/bin/nodejs-22", file(0o711, "node"))), nil, "SIGUSR1"},
		},
		"gateway-not-readable": {
			"program":     {demo, all(nonRoot, mode("/usr/local/bin/demogateway", 0o711)), nil, "demogateway has mode 0711: without root"},
			"interpreter": {demo, all(nonRoot, script("#!/bin/sh\n"), put("/usr/bin/sh", file(0o711, "sh"))), nil, "/usr/bin/sh has mode 0711"},
			"openclaw":    {openclaw, nonRoot, nil, "/usr/local/bin/node has mode 0711"},
		},
		"gateway-code": {
			"owner":          {openclaw, owner(package_+"/more.js", 9001), nil, package_ + "/more.js (mode 0644, uid 9001)"},
			"group-writable": {openclaw, mode(package_+"/more.js", 0o664), nil, "more.js (mode 0664, uid 0)"},
			"dependency":     {openclaw, put(path.Dir(package_)+"/dep.js", file(0o644, "code").owned(9002)), nil, "dep.js (mode 0644, uid 9002)"},
			"below-a-link": {openclaw, all(swap(config.DefaultFile, package_+"/", "/opt/"), put("/opt", symlink(package_[1:]))), nil,
				"/opt is no directory"},
		},
		"users": {
			"missing":      {demo, swap(passwdPath, "operator:x", "somebody:x"), nil, `has no line for "operator"`},
			"same-uid":     {demo, swap(passwdPath, "sandbox:x:9002:9002", "sandbox:x:9001:9002"), []string{"users", "homes"}, "both are uid 9001"},
			"root":         {demo, swap(passwdPath, "operator:x:9003", "operator:x:0"), []string{"users", "accounts"}, "0 is root"},
			"group-member": {demo, swap(groupPath, "gateway:x:9001:", "gateway:x:9001:operator"), []string{"users", "gateway-group", "operator-member"}, `"operator" is in the gateway's primary group`},
			"same-group":   {demo, swap(passwdPath, "operator:x:9003:9003", "operator:x:9003:9002"), []string{"users", "homes"}, "sandbox and operator have the primary group 9002"},
			"strangers-group": {demo, edit(passwdPath, func(e entry) entry { return e.text(e.data + "x:x:9009:9002::/:\n") }), nil,
				"sandbox and x have the primary group 9002"},
			"second-name": {demo, edit(passwdPath, func(e entry) entry { return e.text(e.data + "x:x:9002:9009::/:\n") }), nil, "sandbox and x are both uid 9002"},
			"no-passwd":   {demo, remove(passwdPath), []string{"users", "accounts"}, "/etc/passwd is missing"},
			"group-link": {demo, all(put("/etc/real", file(0o644, "")), put(groupPath, symlink("real"))), []string{"users", "accounts"},
				"/etc/group is a symbolic link, not a regular file"},
		},
		"accounts": {
			"toor":      {demo, edit(passwdPath, func(e entry) entry { return e.text(e.data + "toor:x:0:0::/:\n") }), nil, "uid 0 has 2 accounts (root, toor): leave one"},
			"none":      {demo, swap(passwdPath, "root:x:0:0:root:/root:/bin/sh\n", ""), nil, "uid 0 has 0 accounts"},
			"malformed": {demo, edit(passwdPath, func(e entry) entry { return e.text(e.data + "x:x::1::/:\n") }), nil, "/etc/passwd:6"},
			"wide":      {demo, edit(passwdPath, func(e entry) entry { return e.text(e.data + "x:x:4294967296:1::/:\n") }), nil, "/etc/passwd:6"},
			"short":     {demo, edit(groupPath, func(e entry) entry { return e.text(e.data + "x:x:1\n") }), nil, "/etc/group:6"},
			"member":    {demo, edit(groupPath, func(e entry) entry { return e.text(e.data + "x:x:77: bin\n") }), nil, "/etc/group:6"},
		},
		"homes": {
			"gateway-mode":  {demo, mode("/var/lib/gateway", 0o750), nil, "has mode 0750: chmod 0700 it"},
			"operator-mode": {demo, mode("/home/operator", 0o755), nil, "has mode 0755"},
			"owner":         {demo, owner("/sandbox", 9001), nil, "/sandbox is owned by 9001:9001: chown 9002:9002 it"},
			"missing":       {demo, remove("/home/operator"), nil, "the home of operator, is missing"},
			"file":          {demo, put("/home/operator", file(0o700, "x").owned(9003)), nil, "is a regular file"},
		},
		"set-id": {
			"setuid": {demo, mode("/usr/bin/env", 0o4755), nil, "/usr/bin/env (4755)"},
			"setgid": {demo, mode("/usr/bin/env", 0o2755), nil, "/usr/bin/env (2755)"},
		},
		"capabilities": {
			"net-raw": {demo, edit("/usr/bin/env", func(e entry) entry { e.capable = true; return e }), nil, "/usr/bin/env"},
		},
		"world-writable": {
			"file":       {demo, mode("/usr/bin/env", 0o757), nil, "/usr/bin/env (0757)"},
			"not-sticky": {demo, mode("/tmp", 0o777), nil, "/tmp (0777)"},
			"fifo":       {demo, put("/tmp/pipe", entry{kind: fsafe.FIFO, mode: 0o622}), nil, "/tmp/pipe (0622)"},
			"device":     {demo, put("/tmp/null", entry{kind: character, mode: 0o666}), nil, "/tmp/null (0666)"},
			"many": {demo, func(f *fixture) {
				for i := range 9 {
					f.base()[fmt.Sprintf("/tmp/f%d", i)] = file(0o666, "")
				}
			}, nil, "/tmp/f4 (0666) and 4 more"},
		},
		"compilers": {
			"gcc":       {openclaw, put("/usr/bin/x86_64-linux-gnu-gcc-12", file(0o755, "")), nil, "gcc-12"},
			"cc-link":   {openclaw, put("/usr/bin/cc", symlink("gcc")), nil, "/usr/bin/cc"},
			"assembler": {openclaw, put("/usr/local/bin/as", file(0o755, "")), nil, "/usr/local/bin/as"},
		},
		"token-files": {
			"token":      {demo, put("/var/gateway-token", file(0o400, "x")), nil, "/var/gateway-token"},
			"being-made": {demo, put("/var/gateway-token.new", file(0o400, "x")), nil, "/var/gateway-token.new"},
			"status":     {demo, all(put("/run/gateway-init", dir(0o711, 0)), put("/run/gateway-init/status.json", file(0o600, "{}"))), nil, "/run/gateway-init/status.json"},
			"control": {demo, all(swap(config.DefaultFile, `"operator": {`, `"runtime_dir": "/srv/x", "operator": {`), put("/srv/x/control", dir(0o700, 0))), nil,
				"/srv/x/control"},
		},
		"config-tokens": {
			"backup":   {demo, put("/sandbox/openclaw.json.bak.1", file(0o600, secretConfig)), nil, "/sandbox/openclaw.json.bak.1"},
			"not-json": {demo, put("/root/openclaw.json", file(0o600, "{token:'x'}")), nil, "it may hold a token"},
			"huge":     {demo, put("/root/openclaw.json", file(0o600, strings.Repeat(" ", seal.MaxSize+1))), nil, "larger than"},
		},
		"device-state": {
			"gateway":  {demo, put("/var/lib/gateway/identity/device-auth.json", file(0o600, "{}")), nil, "/var/lib/gateway/identity/device-auth.json"},
			"operator": {demo, put("/home/operator/.openclaw/state/openclaw.sqlite", file(0o600, "x")), nil, "openclaw.sqlite"},
			"sandbox":  {demo, put("/sandbox/paired.json", file(0o600, "{}")), nil, "/sandbox/paired.json"},
			"root":     {demo, put("/root/.openclaw/paired.json", file(0o600, "{}")), nil, "/root/.openclaw/paired.json"},
		},
		"placeholder": {
			"group-writable": {openclaw, mode(own, 0o664), nil, "writable by others"},
			"owner":          {openclaw, owner(own, 9001), nil, "is owned by uid 9001"},
			"two-links":      {openclaw, put("/etc/second", entry{hard: own}), nil, "has 2 links"},
			"no-token":       {openclaw, all(swap(own, `,"token":""`, ""), (*fixture).pin), nil, "gateway.auth.token: is missing"},
			"mode-none":      {openclaw, all(swap(own, `"mode":"token"`, `"mode":"none"`), (*fixture).pin), nil, `gateway.auth.mode: is not "token"`},
			"token": {openclaw, all(swap(own, `"token":""`, `"token":"s3cret"`), (*fixture).pin), []string{"config-tokens", "placeholder"},
				"(gateway.auth.token is set)"},
			"missing": {openclaw, remove(own), []string{"placeholder", "pin"}, "is missing"},
		},
		"pin": {
			"changed":   {openclaw, swap(own, "local", "LOCAL"), nil, "openclaw.json was changed after it was sealed"},
			"missing":   {openclaw, remove(seal.PinFile), nil, "seal.json is missing: run gatewayctl config seal"},
			"mode":      {openclaw, mode(seal.PinFile, 0o600), nil, "mode 0600, not 0644"},
			"malformed": {openclaw, edit(seal.PinFile, func(e entry) entry { return e.text("{}") }), nil, "schema: is missing"},
			"of-others": {openclaw, swap(seal.PinFile, own, "/etc/passwd"), nil, "does not have /etc/openclaw/openclaw.json"},
			"of-nothing": {openclaw, swap(seal.PinFile, `"files":[`, `"files":[{"path":"/nowhere","sha256":"`+strings.Repeat("0", 64)+`"},`), nil,
				"/nowhere is pinned and missing"},
			"of-another-file": {openclaw, swap(seal.PinFile, `"files":[`, `"files":[{"path":"/usr/bin/env","sha256":"`+strings.Repeat("0", 64)+`"},`), nil,
				"/usr/bin/env was changed after"},
		},
		"hashes": {
			"expected-another": {demo, func(f *fixture) { f.options.Sums["gateway-init"] = strings.Repeat("0", 64) }, nil, "copy the release again"},
		},
	}
}

// inImages returns changes to the config or the lower layers, which only an image
// has, and changes after which no program could be run.
func inImages() map[string]map[string]breakage {
	set := func(key string, value any) func(*fixture) {
		return func(f *fixture) { f.config[key] = value }
	}
	ran := func(text string) func(*fixture) {
		return func(f *fixture) { f.history = append(f.history, text) }
	}
	digits := strings.Repeat("0123456789abcdef", 4)
	return map[string]map[string]breakage{
		"entrypoint": {
			"tini":      {demo, set("Entrypoint", []string{"/usr/bin/tini", "--"}), nil, "not"},
			"none":      {demo, set("Entrypoint", nil), nil, "not"},
			"arguments": {demo, set("Entrypoint", []string{initPath, "--config", "/x"}), nil, "--config"},
		},
		"image-user": {"sandbox": {demo, set("User", "sandbox"), nil, `"sandbox": take USER out`}},
		"health": {
			"none":    {demo, set("Healthcheck", nil), nil, "the image has no HEALTHCHECK: write "},
			"another": {demo, set("Healthcheck", map[string]any{"Test": []string{"CMD-SHELL", "curl localhost"}}), nil, "curl"},
			"by-path": {demo, set("Healthcheck", map[string]any{"Test": []string{"CMD", "gatewayctl", "health"}}), nil,
				`it is found by PATH, as root: write HEALTHCHECK --start-period=120s CMD ["/usr/local/bin/gatewayctl", "health"]`},
		},
		"stop-signal": {"quit": {demo, set("StopSignal", "SIGQUIT"), nil, `"SIGQUIT": take STOPSIGNAL out`}},
		"environment": {
			"token":      {demo, set("Env", []string{"OPENCLAW_GATEWAY_TOKEN=x"}), nil, "OPENCLAW_GATEWAY_TOKEN"},
			"empty":      {demo, set("Env", []string{"OPENCLAW_GATEWAY_TOKEN="}), nil, "OPENCLAW_GATEWAY_TOKEN"},
			"other-name": {demo, set("Env", []string{"MY_TOKEN=" + digits}), nil, "MY_TOKEN"},
		},
		"path": {
			"of-the-agent":      {demo, set("Env", []string{"PATH=/sandbox:/usr/local/bin"}), nil, "docker exec runs as root what it finds in PATH: /sandbox is owned by uid 9002"},
			"agents-to-make":    {demo, set("Env", []string{"PATH=/sandbox/bin:/usr/local/bin"}), nil, "/sandbox is owned by uid 9002"},
			"sticky":            {demo, set("Env", []string{"PATH=/tmp:/usr/local/bin"}), nil, "/tmp lets others make files (mode 1777): take it out of PATH"},
			"to-make-in-sticky": {demo, set("Env", []string{"PATH=/tmp/a/b:/usr/local/bin"}), nil, "/tmp lets others make files"},
			"group-writable":    {demo, all(mode("/usr/bin", 0o775), set("Env", []string{"PATH=/bin:/usr/local/bin"})), nil, "/usr/bin is writable by others (mode 0775)"},
			"relative":          {demo, set("Env", []string{"PATH=bin:/usr/local/bin"}), nil, `"bin" is not an absolute path`},
			"empty-entry":       {demo, set("Env", []string{"PATH=:/usr/local/bin"}), nil, `"" is not an absolute path`},
			"empty":             {demo, set("Env", []string{"PATH="}), nil, "PATH is empty"},
			"link-to-a-file":    {demo, all(put("/usr/bin/gatewayctl", symlink("/sandbox/x")), put("/sandbox/x", file(0o755, "x").owned(9002)), set("Env", []string{"PATH=/usr/bin:/usr/local/bin"})), nil, "/sandbox is owned by uid 9002"},
			"dangling":          {demo, all(put("/usr/bin/gatewayctl", symlink("/tmp/x")), set("Env", []string{"PATH=/usr/bin:/usr/local/bin"})), nil, "/tmp lets others make files"},
			"default":           {demo, all(mode("/usr/bin", 0o775), remove(ctlPath), set("Env", nil)), []string{"ctl", "path"}, "is missing"},
		},
		"history": {
			"assignment": {demo, ran("RUN OPENCLAW_GATEWAY_TOKEN=abc node x"), nil, "OPENCLAW_GATEWAY_TOKEN=..."},
			"argument":   {demo, ran("|1 API_KEY=" + digits + " /bin/sh -c make"), nil, "64 hex digits"},
			"flag":       {demo, ran("RUN x --token '" + strings.ToUpper(digits) + "'"), nil, "64 hex digits"},
			"json":       {demo, ran(`RUN echo {"auth": "` + digits + `"}`), nil, "64 hex digits"},
			"label":      {demo, set("Labels", map[string]string{"secret": digits}), nil, "64 hex digits"},
			"command":    {demo, set("Cmd", []string{"--token=" + digits}), nil, "64 hex digits"},
		},
		"token-files": {"removed-later": {demo, addedAndRemoved("/tmp/gateway-token", "x"), nil, "/tmp/gateway-token in layer 000000000000"}},
		"config-tokens": {
			"removed-later": {demo, addedAndRemoved("/root/openclaw.json.last-good", secretConfig), nil, "/root/openclaw.json.last-good in layer"},
			"replaced-later": {openclaw, func(f *fixture) {
				good := f.base()[own]
				f.base()[own] = file(0o644, secretConfig)
				f.top()[own] = good
			}, nil, own + " in layer"},
			"hard-link": {demo, all(put("/root/x", file(0o600, secretConfig)), put("/root/openclaw.json", entry{hard: "/root/x"})), nil, "it is a hard link"},
		},
		"device-state": {"removed-later": {demo, addedAndRemoved("/sandbox/.openclaw/identity/device-auth.json", "{}"), nil, "device-auth.json in layer"}},
		"init": {
			"missing":     {demo, remove(initPath), nil, "is missing"},
			"link":        {demo, put(initPath, symlink("../bin/demogateway")), nil, "is a symbolic link, not a regular file"},
			"whiteout":    {demo, func(f *fixture) { f.top()["/usr/local/sbin/.wh.gateway-init"] = file(0, "") }, nil, "is missing"},
			"opaque":      {demo, func(f *fixture) { f.top()["/usr/local/sbin/"+opaque] = file(0, "") }, []string{"init", "relay"}, "is missing"},
			"later-layer": {demo, func(f *fixture) { f.top()[initPath] = file(0o755, "x").owned(9002) }, nil, "owned by 9002"},
		},
		"ctl": {
			"for-everybody": {demo, mode(ctlPath, 0o755), []string{"ctl", "probe-sandbox"}, "mode 0755, not 0700: chmod it"},
			"non-root":      {demo, all(mode(ctlPath, 0o750), nonRoot), nil, "mode 0750, not 0755"},
			"owner":         {demo, owner(ctlPath, 9002), []string{"ctl", "path", "probe-sandbox"}, "owned by 9002:9002"},
		},
		"parents": {
			"link": {demo, all(remove("/usr/local/sbin"), remove(initPath), remove(relayPath), put("/usr/local/sbin", symlink("lib")), put("/usr/local/lib", dir(0o755, 0))),
				[]string{"init", "parents", "relay"}, "is missing"},
		},
		"capabilities": {"from-a-lower-layer": {demo, func(f *fixture) {
			f.base()["/usr/bin/ping"] = entry{kind: fsafe.Regular, mode: 0o755, capable: true}
			f.top()["/usr/bin"] = dir(0o755, 0)
		}, nil, "/usr/bin/ping"}},
	}
}

// inProgramRuns returns changes that only a run of the programs shows.
func inProgramRuns() map[string]map[string]breakage {
	return map[string]map[string]breakage{
		"release": {
			"another": {demo, put("/etc/order-for-gatewayctl", file(0o644, "2.0")), nil, "gateway-init is 1.0, gatewayctl is 2.0"},
			"broken":  {demo, put("/etc/order-for-gateway-init", file(0o644, "")), nil, "gateway-init --version: exit code 1: broken"},
		},
		"probe-root": {"broken": {demo, put("/etc/order-for-gatewayctl", file(0o644, "")), nil, "gatewayctl version: exit code 1: broken"}},
		"probe-sandbox": {
			// The mode, and the refusal that depends on it, have a check each.
			"for-everybody": {demo, mode(ctlPath, 0o755), []string{"ctl", "probe-sandbox"}, "mode 0755"},
			"owner":         {demo, owner(ctlPath, 9002), []string{"ctl", "probe-sandbox"}, "owned by 9002"},
		},
		"init": {"mode": {demo, mode(initPath, 0o700), nil, "mode 0700, not 0711"}},
	}
}

// TestEachCheckFails checks that a change makes exactly its checks fail.
func TestEachCheckFails(t *testing.T) {
	// These have tests of their own, or fail no image.
	covered := map[string]bool{"tree": true, "token-bytes": true, "environ-readable": true, "environment-open-in-children": true}
	run := func(t *testing.T, name string, b breakage, from func(*fixture) Source) {
		t.Helper()
		f := b.make(t)
		b.change(f)
		bad, checks, r := result(t, from(f), f.options)
		want := b.want
		if want == nil {
			want = []string{name}
		}
		if !slices.Equal(bad, want) || r.OK {
			t.Errorf("failed %v, want %v", bad, want)
		}
		if d := checks[want[0]].Detail; !strings.Contains(d, b.detail) || strings.Contains(d, "s3cret") || strings.Contains(d, "0123456789abcdef") {
			t.Errorf("%s says %q, want %q in it", want[0], d, b.detail)
		}
	}
	groups := func(t *testing.T, all map[string]map[string]breakage, from func(t *testing.T) func(*fixture) Source) {
		for name, breaks := range all {
			covered[name] = true
			for how, b := range breaks {
				t.Run(name+"/"+how, func(t *testing.T) { run(t, name, b, from(t)) })
			}
		}
	}
	archive := func(t *testing.T) func(*fixture) Source {
		return func(f *fixture) Source { return Archive(bytes.NewReader(f.legacy(t))) }
	}
	directory := func(t *testing.T) func(*fixture) Source {
		return func(f *fixture) Source { return Root(f.write(t)) }
	}
	t.Run("archive", func(t *testing.T) {
		groups(t, inFiles(), archive)
		groups(t, inGroups(), archive)
		groups(t, inTexts(), archive)
		groups(t, inImages(), archive)
		groups(t, inLowerTexts(), archive)
	})
	t.Run("directory", func(t *testing.T) {
		groups(t, inFiles(), directory)
		groups(t, inGroups(), directory)
		groups(t, inTexts(), directory)
		groups(t, inProgramRuns(), func(t *testing.T) func(*fixture) Source {
			return func(f *fixture) Source {
				f.runs = true
				return Root(f.write(t))
			}
		})
	})
	for _, name := range checkNames() {
		if !covered[name] {
			t.Errorf("nothing breaks %s", name)
		}
	}
}
