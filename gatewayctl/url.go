// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// urlPrefix returns base up to the token. It checks base by hand, because
// net/url would take almost anything, and we cannot know how a browser reads it.
func urlPrefix(base string) (string, error) {
	rest, ok := strings.CutPrefix(base, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(base, "http://")
	}
	if !ok {
		return "", errors.New("--url must begin with http:// or https://")
	}
	for _, c := range []byte(base) {
		if c <= 0x20 || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}#", c) >= 0 {
			return "", errors.New("--url must be a URL of printable ASCII without a fragment")
		}
	}
	authority, tail, slash := strings.Cut(rest, "/")
	if i := strings.IndexByte(authority, '?'); i >= 0 {
		return "", errors.New("--url must have a / before its query")
	}
	if strings.Contains(authority, "@") {
		return "", errors.New("--url must not contain a user name")
	}
	if err := checkAuthority(authority); err != nil {
		return "", err
	}
	if slash && strings.Contains(tail, "?") {
		return base + "#token=", nil
	}
	return strings.TrimRight(base, "/") + "/#token=", nil
}

// checkAuthority accepts host or host:port, with an IPv6 address in brackets.
func checkAuthority(s string) error {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		if _, err := netip.ParseAddrPort("127.0.0.1:" + port); err != nil || port == "0" {
			return fmt.Errorf("--url has no valid port: %.20q", port)
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !a.Is6() || !strings.HasSuffix(inner, "]") {
			return errors.New("--url has no valid IPv6 address")
		}
		return nil
	}
	if host == "" || strings.ContainsAny(host, ":[]%") {
		return errors.New("--url has no valid host")
	}
	return nil
}
