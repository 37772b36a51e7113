// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

// TestLoaderVariable checks variables that a container's caller may not set.
func TestLoaderVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"LD_PRELOAD": true, "LD_LIBRARY_PATH": true, "BASH_ENV": true, "ENV": true, "NODE_OPTIONS": true, "PYTHONPATH": true,
		"PERL5OPT": true, "PERL5LIB": true, "RUBYOPT": true, "GODEBUG": true, "GOTRACEBACK": true,
		"TZ": false, "HTTPS_PROXY": false, "ENVIRONMENT": false, "LANG": false, "OLD_LD_X": false, "": false,
	} {
		if got := isLoaderVariable(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}
