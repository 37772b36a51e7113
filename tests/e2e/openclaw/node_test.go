// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// asOperator changes a copy of a node's state, in HOME: its token becomes an
// operator's token with all rights. It prints the token.
const asOperator = `const {DatabaseSync} = require("node:sqlite");
const db = new DatabaseSync(process.env.HOME + "/.openclaw/state/openclaw.sqlite");
console.log(db.prepare("select token from device_auth_tokens").get().token);
db.exec("update device_auth_tokens set role='operator', scopes_json='[\"operator.admin\",\"operator.read\",\"operator.write\",\"operator.pairing\"]'");`

// TestNodeIsNoOperator uses the node's key and token as the agent can, which has
// the user of the tools. They give no access that an operator has.
func TestNodeIsNoOperator(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	const home = "/tmp/forged"
	r := c.ExecFlags([]string{"-e", "HOME=" + home}, "sandbox", nil, "sh", "-c",
		"rm -rf "+home+" && mkdir "+home+" && cp -r /sandbox/.openclaw "+home+" && node -e '"+strings.ReplaceAll(asOperator, "'", `'\''`)+"'")
	token := strings.TrimSpace(r.Stdout)
	if r.Code != 0 || len(token) < 32 {
		t.Fatalf("cannot copy the node's state: %v", r)
	}
	for name, env := range map[string][]string{
		"its-own-state":   {"HOME=/sandbox"},
		"as-shared-token": {"HOME=/sandbox", tokenEnv + "=" + token},
		"as-an-operators": {"HOME=" + home},
	} {
		t.Run(name, func(t *testing.T) {
			flags := []string{"-e", "OPENCLAW_GATEWAY_PORT=18789"}
			for _, kv := range env {
				flags = append(flags, "-e", kv)
			}
			for _, args := range [][]string{{"devices", "list", "--json"}, {"gateway", "call", "config.get", "--json"}} {
				r := c.For(t).ExecFlags(flags, "sandbox", nil, append([]string{"openclaw"}, args...)...)
				said := r.Stdout + r.Stderr
				if r.Code == 0 || !strings.Contains(said, "unauthorized") && !strings.Contains(said, "credentials") && !strings.Contains(said, "mismatch") {
					t.Errorf("%v: %v", args, r)
				}
			}
		})
	}
}

// TestGreedyNode lets the agent redeem a join code before our tools do. The first
// process to redeem it declares the commands of the node, and the gateway approves
// them unseen. Our tools and the agent get the same few commands, because the
// gateway's own configuration denies the rest.
func TestGreedyNode(t *testing.T) {
	c := shared(t)
	waitTools(t, c)
	var join struct{ JoinURL string }
	if r := client(c, "openclaw", "devices", "join-code", "--json"); r.Code != 0 || json.Unmarshal([]byte(r.Stdout), &join) != nil || join.JoinURL == "" {
		t.Fatalf("join-code: %v", r)
	}
	c.Exec("sandbox", "mkdir", "-p", "/tmp/greedy")
	c.ExecDetached("sandbox", "env", "HOME=/tmp/greedy", "timeout", "600", "openclaw", "connect", join.JoinURL, "--display-name", "greedy")
	type node struct {
		NodeID, DisplayName string
		Connected           bool
		Commands            []string
		NodePluginTools     []any
	}
	var greedy node
	harness.Eventually(t, paired, "the greedy node to connect", func() error {
		var list struct{ Nodes []node }
		r := client(c, "openclaw", "nodes", "status", "--json")
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			return fmt.Errorf("%w: %v", err, r)
		}
		at := slices.IndexFunc(list.Nodes, func(n node) bool { return n.DisplayName == "greedy" && n.Connected })
		if at < 0 {
			return fmt.Errorf("%+v", list.Nodes)
		}
		greedy = list.Nodes[at]
		return nil
	})
	slices.Sort(greedy.Commands)
	if !slices.Equal(greedy.Commands, []string{"system.run", "system.run.prepare", "system.which"}) || len(greedy.NodePluginTools) != 0 {
		t.Errorf("the greedy node has %+v", greedy)
	}
	// The agent's commands still go to our node. On a busy machine our node may
	// have to connect again first. Until then they reach no node.
	harness.Eventually(t, paired, "a command at our node", func() error {
		r := turn(t, c, shell("echo $HOME"))[0]
		switch {
		case strings.Contains(r, "/tmp/greedy"):
			t.Fatalf("the command ran at the greedy node: %s", r)
		case !strings.Contains(r, "/sandbox"):
			return errors.New(r)
		}
		return nil
	})
	if r := client(c, "openclaw", "devices", "remove", greedy.NodeID); r.Code != 0 {
		t.Errorf("devices remove: %v", r)
	}
}
