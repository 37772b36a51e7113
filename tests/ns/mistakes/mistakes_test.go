// SPDX-License-Identifier: Apache-2.0

package mistakes

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

// mistake is a mistake, and the exact first line of the answer. The next step follows it
// where a command gives one.
type mistake struct {
	name   string
	made   box.Options
	answer func(t *testing.T, b *box.Box) string
	want   string
}

// The rows of mistakes that end boot, in the order of a configuration that is written for
// the first time.
func TestMistakeEndsBoot(t *testing.T) {
	const own = "/usr/local/bin/mygateway"
	command := func(words ...string) box.Options { return gateway("command", words) }
	program := func(mode uint32) box.Options {
		o := command(own)
		o.Plant = []box.Entry{{Path: own, Type: unix.S_IFREG, Mode: mode, Data: "#!/usr/local/bin/demotools\n"}}
		return o
	}
	owned := func(uid int, mode uint32) box.Options {
		return box.Options{Plant: []box.Entry{{Path: file, Type: unix.S_IFREG, Mode: mode, UID: uid, Data: "{}"}}}
	}
	noexec := command("/mnt/mygateway")
	noexec.Mounts = []box.Mount{{At: "/run", Data: "mode=0755"}, {At: "/mnt", Data: "mode=0755", Flags: unix.MS_NOEXEC}}
	noexec.Plant = []box.Entry{{Path: "/mnt/mygateway", Type: unix.S_IFREG, Mode: 0o755, Data: "#!/usr/local/bin/demotools\n"}}
	closed := gateway("working_dir", "/closed")
	closed.Plant = []box.Entry{{Path: "/closed", Type: unix.S_IFDIR, Mode: 0o700}}
	try(t, []mistake{
		{"typo-in-user", gateway("user", "gatway"), ends(2),
			`gateway-init: cannot use user "gatway" of gateway.user: /etc/passwd has no line for "gatway": add one to the image, or write "gateway"`},
		{"one-user-of-two-roles", with(obj{"sandbox": obj{"user": "gateway"}}), ends(2),
			`gateway-init: cannot separate users "gateway" and "gateway": both are uid 9001: give each its own in /etc/passwd, or name another in gateway.user or sandbox.user`},
		{"user-root", gateway("user", "root"), ends(2),
			`gateway-init: cannot use user "root" of gateway.user: /etc/passwd:1: its uid is refused: 0 is root, which is never used here: name another`},
		{"key-missing", gateway("command", nil), ends(2),
			file + `:12:14: gateway.command is missing: give the gateway's program and its arguments`},
		{"wrong-type", gateway("command", "/usr/local/bin/demogateway"), ends(2),
			file + `:23:16: gateway.command: is a string, not an array: write ["/usr/local/bin/demogateway"]`},
		{"port-in-quotes", gateway("listen", obj{"port": "8088"}), ends(2),
			file + `:39:15: gateway.listen.port: is a string, not a number (accepted: 1 to 65535)`},
		{"bare-duration", gateway("stop", obj{"grace": 7}), ends(2),
			file + `:64:16: gateway.stop.grace: is a number, not a duration in quotes (accepted: 100ms to 1h)`},
		{"relative-path", gateway("working_dir", "lib"), ends(2),
			file + `:69:20: gateway.working_dir: "lib" is not an absolute path without //, . and ..`},
		{"unknown-key", gateway("comand", []string{"/x"}), ends(2),
			file + `:23:5: gateway.comand: unknown key: did you mean gateway.command?`},
		{"key-in-wrong-object", gateway("port", 8088), ends(2),
			file + `:45:5: gateway.port: unknown key: did you mean gateway.listen.port?`},
		{"comment", text("{\n  // my gateway\n  \"gateway\": {}\n}\n"), ends(2),
			file + `:2:3: expected a key in double quotes: JSON has no comments: remove this one`},
		{"trailing-comma", text("{\n  \"gateway\": {\"user\": \"gateway\",}\n}\n"), ends(2),
			file + `:2:33: expected a key in double quotes: JSON has no trailing comma: remove the one before this '}'`},
		{"file-of-uid-1000", owned(1000, 0o644), ends(2),
			`gateway-init: cannot use /etc/gateway-init/config.json: it is owned by uid 1000, not 0: chown 0:0 it`},
		{"file-of-mode-0666", owned(0, 0o666), ends(2),
			`gateway-init: cannot use /etc/gateway-init/config.json: it is writable by others (mode 0666): chmod 0644 it (Kubernetes: defaultMode: 0644)`},
		{"program-missing", command(own), ends(1),
			`gateway-init: cannot use /usr/local/bin/mygateway: lstat /usr/local/bin/mygateway: no such file or directory: put it into the image, or correct gateway.command`},
		{"program-not-executable", program(0o644), ends(1),
			`gateway-init: cannot execute /usr/local/bin/mygateway: permission denied: chmod a+x it`},
		{"program-on-noexec", noexec, ends(1),
			`gateway-init: cannot execute the gateway /mnt/mygateway: exec: permission denied: it is on a file system that is mounted noexec`},
		{"working-dir-missing", gateway("working_dir", "/nowhere"), ends(1),
			`gateway-init: cannot enter the gateway's working_dir /nowhere as uid 9001: chdir: no such file or directory: make it in the image, or correct gateway.working_dir`},
		{"working-dir-closed", closed, ends(1),
			`gateway-init: cannot enter the gateway's working_dir /closed as uid 9001: chdir: permission denied: chown 9001 it, or correct gateway.working_dir`},
		{"cap-drop-all", box.Options{DropCaps: allCaps()}, ends(1),
			`gateway-init: cannot start a process as another user: SETGID and SETUID not granted: run with --cap-add CHOWN --cap-add KILL --cap-add SETGID --cap-add SETUID` +
				` (compose: cap_add: [CHOWN, KILL, SETGID, SETUID]; Kubernetes: capabilities.add: [CHOWN, KILL, SETGID, SETUID])`},
		{"no-setuid", box.Options{DropCaps: []uintptr{unix.CAP_SETUID}}, ends(1),
			`gateway-init: cannot start a process as another user: SETUID not granted: run with --cap-add SETUID (compose: cap_add: [SETUID]; Kubernetes: capabilities.add: [SETUID])`},
	})
}

// The rows of mistakes with which the container lives.
func TestMistakeIsNamed(t *testing.T) {
	const health = `gatewayctl: cannot wait: deadline of 100ms passed: `
	noCheck := gateway("token_env", "MY_TOKEN", "env", obj{"OPENCLAW_GATEWAY_TOKEN": "static"}, "auth_check", nil)
	late := gateway("ready", soon(nil))
	late.Misbehave, late.Command, late.Env = obj{"listen_after": "1h"}, []string{"demotools", "sleep", "100"}, path
	taken := with(obj{"command_start": "immediate"})
	taken.Misbehave, taken.Command, taken.Env = obj{"listen_after": "1s"}, []string{"demotools", "hold-port", "127.0.0.1:18789"}, path
	rootless := gateway("working_dir", "/")
	rootless.UID, rootless.Mounts = 1000, []box.Mount{{At: "/run", Data: "mode=0755"}, {At: "/dev/shm", Data: "mode=1777"}}
	const mismatch = `auth-mismatch: the gateway refused our token: its own configuration sets another, or it does not read the variable gateway.token_env; for OpenClaw, gateway.auth.token there must be "" (gatewayctl config seal)
gatewayctl: hint: let the gateway take its token from the variable that gateway.token_env names, and from nowhere else: in OpenClaw's own config gateway.auth.token must be "" and gateway.auth.mode "token" (in the image build: gatewayctl config seal); then: gatewayctl restart`
	try(t, []mistake{
		{"no-tmpfs", box.Options{Mounts: []box.Mount{{At: "/run", Type: "overlay", Data: "lowerdir=/usr:/etc"}}},
			status("token"), "SERVING\ntoken /dev/.gateway-init/gateway-token, number 1 since boot, minted"},
		{"tmpfs-without-mode", box.Options{Mounts: []box.Mount{{At: "/run", Data: "mode=0755"}, {At: box.Runtime, Data: "mode=1777"}}},
			status("token"), "SERVING\ntoken /run/gateway-init/gateway-token, number 1 since boot, minted"},
		{"no-chown", box.Options{DropCaps: []uintptr{unix.CAP_CHOWN}}, logs("start-failed"),
			`"level":"warn","origin":"init","event":"start-failed","reason":"prepare-failed","error":"cannot prepare /tmp/demo-gateway: cannot give /tmp/demo-gateway to 9001:9001: operation not permitted:` +
				` run with --cap-add CHOWN (compose: cap_add: [CHOWN]; Kubernetes: capabilities.add: [CHOWN])"}`},
		{"user-1000", rootless, status("separation"),
			"SERVING\nseparation none: gateway and agent have one uid; the agent can read the token"},
		{"wrong-port", gateway("listen", obj{"port": 8088}, "ready", soon(nil)), waits("not-ready-in-time"),
			health + `listener-missing: no process listens on port 8088; the gateway's user listens on 127.0.0.1:18789: correct gateway.listen.port
gatewayctl: hint: compare gateway.listen.port with the gateway's own setting; then: gatewayctl restart, or restart the container if gateway.listen.port was wrong`},
		{"wrong-path", gateway("ready", soon(obj{"path": "/api/healthz"})), waits("not-ready-in-time"),
			health + `unproven: GET /api/healthz: it answered with status 401, which is not configured: gateway.ready.status is [200]: correct that, or gateway.ready.path
gatewayctl: hint: wait and try: gatewayctl probe; if it fails again in the same way, do what its line says`},
		{"wrong-body", gateway("ready", soon(obj{"json": obj{"ready": "true"}})), waits("not-ready-in-time"),
			health + `health-timeout: GET /readyz: a member of its body has another value than configured: gateway.ready.json is {"ready": "true"}
gatewayctl: hint: read docker logs CONTAINER; then: gatewayctl restart`},
		{"wrong-token-env", gateway("token_env", "MY_TOKEN", "env", obj{"OPENCLAW_GATEWAY_TOKEN": "static"}, "ready", soon(nil)), waits("not-ready-in-time"), health + mismatch},
		{"wrong-token-env-unchecked", noCheck, status("auth"),
			"SERVING\nauth not checked: the configuration has no gateway.auth_check"},
		{"static-token-in-its-file", box.Options{Config: gateway("ready", soon(nil)).Config, Misbehave: obj{"token_mode": "other"}}, waits("not-ready-in-time"), health + mismatch},
		{"slow-start", late, logs("not-ready-in-time"),
			`"level":"warn","origin":"init","event":"not-ready-in-time","reason":"listener-missing","detail":"no process listens on port 18789"}`},
		{"token-wanted-in-a-file", box.Options{}, readsToken,
			"cat: open /run/gateway-init/gateway-token: permission denied"},
		{"variable-in-command", gateway("command", []string{"/usr/local/bin/demogateway", "--listen", "127.0.0.1:$PORT"}), logs("config-hint"),
			`"level":"warn","origin":"init","event":"config-hint","key":"gateway.command[2]","detail":"has $PORT, which is passed as it is, because no shell reads it: write the value"}`},
		{"every-address", box.Options{Misbehave: obj{"listen": "0.0.0.0:18789"}}, status("gateway"),
			"SERVING\ngateway pid N, port 18789, open to other hosts, uid 9001, started"},
		{"command-missing", box.Options{Command: []string{"myagent"}, Env: path}, logs("command-failed"),
			`"level":"error","origin":"init","event":"command-failed","command":"myagent","error":"exec: no such file or directory: no directory of PATH has it: put it into the image, or write its absolute path"}`},
		{"command-in-one-word", box.Options{Command: []string{"demotools sleep 100"}, Env: path}, logs("command-failed"),
			`"level":"error","origin":"init","event":"command-failed","command":"demotools sleep 100","error":"exec: no such file or directory:` +
				` no shell splits this word: write the program and each of its arguments as a word of its own, or sh, -c and this text"}`},
		{"command-is-a-directory", box.Options{Command: []string{"/usr/local"}, Env: path}, logs("command-failed"),
			`"level":"error","origin":"init","event":"command-failed","command":"/usr/local","error":"exec: permission denied: it is a directory"}`},
		{"entrypoint-in-shell-form", box.Options{Below: []string{"/usr/local/bin/demotools", "foreign-init", "0"}}, logs("hardening", `"name":"not-pid-1"`),
			`"level":"warn","origin":"init","event":"hardening","name":"not-pid-1","detail":"PID 1 is another program: start gateway-init as the container's first process,` +
				` ENTRYPOINT [\"/usr/local/sbin/gateway-init\"]; gateway-init ends only its own descendants, and cannot see a stop that PID 1 does not pass on"}`},
		{"preset-token", box.Options{Env: []string{"OPENCLAW_GATEWAY_TOKEN=mine"}}, logs("preset-token"),
			`"level":"warn","origin":"init","event":"preset-token","name":"OPENCLAW_GATEWAY_TOKEN","message":"the container's environment sets the token's variable: it is not used, and no process gets it"}`},
		{"port-taken-by-the-agent", taken, waits("start-failed"),
			`gatewayctl: cannot wait: deadline of 100ms passed: listener-foreign: port 18789 is taken by uid 9002: 127.0.0.1:18789 listens
gatewayctl: hint: end the process that holds the port: gatewayctl evict, if it is the agent's (if gatewayctl status says unsupervised: gatewayctl adopt); then: gatewayctl recover, or gatewayctl restart --rotate-token if a client or sidecar had the token`},
	})
}
