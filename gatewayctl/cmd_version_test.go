// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"testing"
)

func TestChooseVersion(t *testing.T) {
	module := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	for name, c := range map[string]struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		"make-build":    {"v1.2.3", module("v1.2.4"), "v1.2.3"},
		"go-install":    {"dev", module("v1.2.3"), "v1.2.3"},
		"go-build":      {"dev", module("(devel)"), "dev"},
		"no-module":     {"dev", module(""), "dev"},
		"no-build-info": {"dev", nil, "dev"},
	} {
		if got := chooseVersion(c.linked, c.info); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
