// SPDX-License-Identifier: Apache-2.0

package harness

// IPv6 returns the flags of a container that has [::1] on any engine. Older engines
// disable IPv6 in all of a container with a bridge.
func IPv6() []string { return []string{"--sysctl", "net.ipv6.conf.lo.disable_ipv6=0"} }

// NoIPv6 returns the flags of a container that has no IPv6 on any engine.
func NoIPv6() []string {
	return []string{"--sysctl", "net.ipv6.conf.all.disable_ipv6=1", "--sysctl", "net.ipv6.conf.default.disable_ipv6=1"}
}
