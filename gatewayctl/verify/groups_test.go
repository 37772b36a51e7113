// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
)

// inGroups returns changes to groups. The gateway and the operator are held to the
// same rules as the sandbox user.
func inGroups() map[string]map[string]breakage {
	group := func(line string) func(*fixture) {
		return edit(groupPath, func(e entry) entry { return e.text(e.data + line + "\n") })
	}
	// given gives a user of the configuration a group that has no name.
	given := func(user, groups string) func(*fixture) {
		return swap(config.DefaultFile, `"user": "`+user+`"`, `"user": "`+user+`", "groups": `+groups)
	}
	members := func(names ...string) []string { return names }
	return map[string]map[string]breakage{
		"gateway-group": {
			"stranger": {demo, swap(groupPath, "gateway:x:9001:", "gateway:x:9001:mail"), nil, "in the gateway group beside gateway: mail"},
			"operator": {demo, swap(groupPath, "gateway:x:9001:", "gateway:x:9001:operator"), members("users", "gateway-group", "operator-member"), "is in the gateway's primary group"},
			"alias":    {demo, group("gw:x:9001:mail"), nil, "mail"},
		},
		"gateway-member": {
			"shadow":     {demo, group("shadow:x:42:gateway"), nil, "gateway is in: shadow (42)"},
			"docker":     {demo, group("docker:x:998:gateway"), nil, "docker (998)"},
			"disk":       {demo, group("disk:x:6:gateway"), nil, "disk (6)"},
			"sandbox":    {demo, swap(groupPath, "sandbox:x:9002:", "sandbox:x:9002:gateway,sandbox"), members("gateway-member", "sandbox-group"), "sandbox (9002) with sandbox"},
			"shared":     {demo, group("both:x:997:sandbox,gateway"), members("gateway-member", "sandbox-member"), "both (997) with sandbox"},
			"configured": {demo, all(given("gateway", "[998]"), group("docker:x:998:")), nil, "docker (998)"},
			"unnamed":    {demo, all(given("gateway", "[2000]"), given("sandbox", "[2000]")), members("gateway-member", "sandbox-member"), "a group without a name (2000) with sandbox"},
			"two-names":  {demo, group("media:x:998:gateway\ndocker:x:998:"), nil, "media or docker (998)"},
		},
		"sandbox-group": {
			"gateway":  {demo, swap(groupPath, "sandbox:x:9002:", "sandbox:x:9002:gateway,sandbox"), members("gateway-member", "sandbox-group"), "sandbox (9002)"},
			"stranger": {demo, swap(groupPath, "sandbox:x:9002:", "sandbox:x:9002:mail"), nil, "beside sandbox: mail"},
		},
		"sandbox-member": {
			"docker":     {demo, group("docker:x:998:sandbox"), nil, "docker (998)"},
			"shared":     {demo, group("both:x:997:sandbox,gateway"), members("gateway-member", "sandbox-member"), "both (997)"},
			"human":      {demo, group("both:x:997:sandbox,operator"), members("sandbox-member", "operator-member"), "both (997) with operator"},
			"configured": {demo, all(given("sandbox", "[998]"), group("docker:x:998:")), nil, "docker (998)"},
		},
		"operator-group": {
			"stranger": {demo, swap(groupPath, "operator:x:9003:", "operator:x:9003:mail"), nil, "in the operator group beside operator: mail"},
			"sandbox":  {demo, swap(groupPath, "operator:x:9003:", "operator:x:9003:sandbox"), members("sandbox-member", "operator-group"), "operator (9003) with operator"},
		},
		"operator-member": {
			"sudo":    {demo, group("sudo:x:27:operator"), nil, "operator is in: sudo (27)"},
			"shared":  {demo, group("both:x:997:operator,gateway"), members("gateway-member", "operator-member"), "both (997) with operator"},
			"sandbox": {demo, swap(groupPath, "sandbox:x:9002:", "sandbox:x:9002:operator"), members("sandbox-group", "operator-member"), "beside sandbox: operator"},
		},
	}
}

// TestGroupsOfOthers checks that groups that no other user has, and that give no power,
// are accepted.
func TestGroupsOfOthers(t *testing.T) {
	f := demo(t)
	all(swap(groupPath, "gateway:x:9001:", "gateway:x:9001:gateway"),
		edit(groupPath, func(e entry) entry {
			return e.text(e.data + "video:x:44:sandbox\nmail:x:8:gateway\nusers:x:100:operator\n")
		}),
		swap(config.DefaultFile, `"user": "sandbox"`, `"user": "sandbox", "groups": [105]`))(f)
	if bad, all, r := result(t, Root(f.write(t)), f.options); !r.OK {
		t.Errorf("failed %v, %+v", bad, all)
	}
}
