// SPDX-License-Identifier: Apache-2.0

package harness

// IPv6 are the flags of a container that has [::1], whatever the engine gives:
// with a bridge older ones take IPv6 away from all of a container.
func IPv6() []string { return []string{"--sysctl", "net.ipv6.conf.lo.disable_ipv6=0"} }

// NoIPv6 are the flags of a container that has no IPv6, whatever the engine gives.
func NoIPv6() []string {
	return []string{"--sysctl", "net.ipv6.conf.all.disable_ipv6=1", "--sysctl", "net.ipv6.conf.default.disable_ipv6=1"}
}
