// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// viaSearch returns the same call through Tool Search. The vendor keeps tools there
// that it does not offer by name.
func viaSearch(c call) call {
	return call{"tool_call", map[string]any{"id": "openclaw:core:" + c.Name, "args": c.Arguments}}
}

// bothWays returns each call by its name and through Tool Search.
func bothWays(calls ...call) (all []call) {
	for _, c := range calls {
		all = append(all, c, viaSearch(c))
	}
	return all
}

// script returns a message that makes the fake model make the calls.
func script(calls ...call) string {
	list, err := json.Marshal(calls)
	if err != nil {
		panic(err) // texts and maps of texts always marshal
	}
	return "CALLS " + string(list)
}

// spawn returns a call that makes a child in a directory, where it makes the calls.
func spawn(cwd string, visible bool, calls ...call) call {
	args := map[string]any{"task": script(calls...)}
	if cwd != "" {
		args["cwd"] = cwd
	}
	if visible {
		args["visible"] = true
	}
	return call{"sessions_spawn", args}
}

// grab returns a call of each tool that reads or writes a file in the gateway, at a
// path.
func grab(path string) []call {
	return []call{
		read(path),
		{"view_image", map[string]any{"path": path}},
		{"edit", map[string]any{"path": path, "edits": []any{map[string]any{"oldText": "0", "newText": "0"}}}},
		{"write", map[string]any{"path": "planted", "content": "x"}},
		{"apply_patch", map[string]any{"input": "*** Begin Patch\n*** Add File: planted\n+x\n*** End Patch\n"}},
	}
}

// full reports whether the long table is asked for.
func full() bool { return os.Getenv("DEPUTY_FULL") != "" }

// spawn tries to make children, hidden and visible, in each directory. No such tool
// exists, by its name or through Tool Search.
func (d *deputy) spawn(t *testing.T) {
	var calls []call
	for _, cwd := range []string{"", "/run/gateway-init", "/var/lib/openclaw", "/var/lib/openclaw/state", "/", "..", "/sandbox/to-runtime", "/sandbox/to-state",
		"/etc/openclaw", "/proc/self", "/tmp/openclaw-gateway", "/sandbox"} {
		for _, visible := range []bool{false, true} {
			calls = append(calls, bothWays(spawn(cwd, visible, read("canary"), read("gateway-token"), read("environ"), read("openclaw.json")))...)
		}
	}
	for i, r := range turn(t, d.For(t), calls...) {
		if spawned.MatchString(r) || !refused(r) {
			t.Errorf("%v: %s", calls[i], r)
		}
	}
}

// oldChildren sends to each session that an earlier gateway made in a foreign
// directory. The session runs and has no file tools.
func (d *deputy) oldChildren(t *testing.T, old map[string]string) {
	targets := map[string]string{"hidden": "canary", "visible": "canary", "runtime": "gateway-token", "parent": "openclaw/canary"}
	var calls []call
	var of []string
	for name, key := range old {
		send := call{"sessions_send", map[string]any{"sessionKey": key, "message": script(bothWays(grab(targets[name])...)...), "timeoutSeconds": 120}}
		calls, of = append(calls, viaSearch(send)), append(of, name)
		if full() {
			calls, of = append(calls, send), append(of, name)
		}
	}
	for i, r := range turn(t, d.For(t), calls...) {
		// The answer proves that the session ran. It has the end of the script,
		// with ten refusals.
		_, answer, ran := strings.Cut(r, "RESULTS ")
		if calls[i].Name == "sessions_send" && !ran && refused(r) {
			continue // offered through Tool Search only
		}
		if n := strings.Count(answer, "not found") + strings.Count(answer, "Unknown tool"); !ran || n < 10 {
			t.Errorf("%s: %d of 10 calls refused: %s", of[i], n, r)
		}
	}
	for _, path := range []string{"/var/lib/openclaw/planted", "/var/lib/openclaw/state/planted", "/var/lib/planted", "/run/gateway-init/planted"} {
		if _, err := os.Lstat(d.HostPath(path)); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}

// files calls the file tools of a user's session. They do not leave its workspace,
// and they follow no link that the agent made.
func (d *deputy) files(t *testing.T) {
	paths := []string{"/sandbox/to-canary", "/sandbox/to-token", "/sandbox/to-environ", "/sandbox/to-state/canary", "../canary", "/run/gateway-init/gateway-token"}
	if full() {
		paths = append(paths, "/proc/self/environ", "/proc/self/root/var/lib/openclaw/canary", "/proc/self/cwd/canary", "~/canary", "file:///var/lib/openclaw/canary",
			"@/var/lib/openclaw/canary", "..%2fcanary", "media://../canary", "skill://../canary", "./../canary", "\u00a0../canary", "/tmp/openclaw-gateway/canary",
			"/etc/openclaw/openclaw.json", "../state/openclaw.sqlite", "../agents/main/agent/openclaw-agent.sqlite", "/sandbox/to-runtime/gateway-token")
	}
	var calls []call
	for _, path := range paths {
		for _, c := range grab(path)[:3] {
			calls = append(calls, c)
			if c.Name == "view_image" || full() {
				calls = append(calls, viaSearch(c))
			}
		}
	}
	calls = append(calls, call{"write", map[string]any{"path": "inside", "content": "x"}}, read("inside")) // allowed
	results := turn(t, d.For(t), calls...)
	for i, r := range results[:len(results)-2] {
		if !refused(r) {
			t.Errorf("%v: %s", calls[i], r)
		}
	}
	for _, r := range results[len(results)-2:] {
		if refused(r) {
			t.Errorf("inside the workspace: %s", r)
		}
	}
}
