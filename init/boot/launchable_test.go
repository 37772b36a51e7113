// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"os"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// TestLaunchable checks what would make the next launch fail, and that an unknown result
// would not.
func TestLaunchable(t *testing.T) {
	d := t.TempDir()
	put := func(name, text string) string {
		testenv.Must(t, os.WriteFile(d+"/"+name, []byte(text), 0o755))
		return d + "/" + name
	}
	sh := put("script", "#!/bin/sh\n")
	for name, c := range map[string]struct{ program, dir, want string }{
		"good":                {sh, "/", ""},
		"program-gone":        {d + "/none", "/", "no such file"},
		"interpreter-gone":    {put("orphan", "#!/opt/none\n"), "/", "/opt/none"},
		"not-found-by-env":    {put("by-env", "#!/usr/bin/env no-such-program\n"), "/", ""},
		"directory-gone":      {sh, d + "/gone", "working_dir"},
		"directory-is-a-file": {sh, sh, "is no directory"},
		"option-of-env":       {put("odd", "#!/usr/bin/env --no-such-option sh\n"), "/", ""},
	} {
		err := launchable(launch.Spec{Argv: []string{c.program}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: c.dir})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
