// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
)

// TestEnvironReadable checks that each image that cannot close the environment
// names the readable program, and that the report stays good.
func TestEnvironReadable(t *testing.T) {
	const program = "/usr/local/bin/demogateway"
	sh := put("/usr/bin/sh", file(0o755, "sh"))
	for name, c := range map[string]struct {
		change func(*fixture)
		result Result
		says   string
		ok     bool
	}{
		"readable":            {func(*fixture) {}, Note, program + " can be read by the gateway's user (mode 0755)", true},
		"execute-only":        {mode(program, 0o711), Held, program + " cannot be read", true},
		"by-its-group":        {edit(program, func(e entry) entry { e.mode, e.gid = 0o750, 9001; return e }), Note, "mode 0750", true},
		"closed-to-its-group": {edit(program, func(e entry) entry { e.mode, e.gid = 0o715, 9001; return e }), Held, "cannot be read", true},
		"link":                {all(put("/usr/bin/real", file(0o711, "x")), put(program, symlink("/usr/bin/real"))), Held, "/usr/bin/real cannot be read", true},
		"script":              {all(script("#!/bin/sh -e\n"), sh), Note, "/usr/bin/sh can be read", true},
		"script-of-closed":    {all(script("#!/bin/sh\n"), sh, mode("/usr/bin/sh", 0o711)), Held, "/usr/bin/sh cannot be read", true},
		"by-env":              {all(script("#!/usr/bin/env -S python3 -u\n"), put("/usr/bin/python3", file(0o711, "x"))), Held, "/usr/bin/python3 cannot be read", true},
		"env-path": {all(script("#!/usr/bin/env python3\n"), put("/opt/python3", file(0o755, "x")), put("/usr/bin/python3", file(0o711, "x")),
			swap(config.DefaultFile, `"pass_env": ["TZ",`, `"env": {"PATH": "/opt:/usr/bin"}, "pass_env": ["TZ",`)), Note, "/opt/python3 can be read", true},
		"no-interpreter":     {script("#!/nowhere\n"), NotAvailable, "cannot tell which program runs: /nowhere: ", false},
		"not-executable":     {all(script("#!/usr/bin/sh\n"), sh, mode("/usr/bin/sh", 0o644)), NotAvailable, "permission denied", false},
		"folder-interpreter": {script("#!/usr/bin\n"), NotAvailable, "permission denied", false},
		"no-program":         {remove(program), NotAvailable, "cannot tell which program runs", false},
		"no-users":           {remove(passwdPath), NotAvailable, "see users", false},
		"no-config":          {all(remove(config.DefaultFile), profileOf("demo")), NotAvailable, "see config", false},
		"non-root":           {nonRoot, NotAvailable, "without root the agent is the gateway's user", true},
	} {
		t.Run(name, func(t *testing.T) {
			for how, from := range map[string]func(*fixture) Source{
				"archive":   func(f *fixture) Source { return Archive(bytes.NewReader(f.legacy(t))) },
				"directory": func(f *fixture) Source { return Root(f.write(t)) },
			} {
				f := demo(t)
				c.change(f)
				_, all, r := result(t, from(f), f.options)
				if got := all["environ-readable"]; got.Result != c.result || !strings.Contains(got.Detail, c.says) || r.OK != c.ok {
					t.Errorf("%s: ok %v, %+v, want %s with %q", how, r.OK, got, c.result, c.says)
				}
			}
		})
	}
}

// TestOpenInChildren checks that an image whose gateway is not confined is named, and that
// the report stays good.
func TestOpenInChildren(t *testing.T) {
	unconfined := swap(config.DefaultFile, `"confine": "proc"`, `"confine": "none"`)
	for name, c := range map[string]struct {
		change func(*fixture)
		result Result
		says   string
		ok     bool
	}{
		"confined":     {func(*fixture) {}, Held, "gateway.confine is proc", true},
		"not-confined": {unconfined, Note, `set gateway.confine to "proc"`, true},
		"by-default":   {swap(config.DefaultFile, `"confine": "proc",`, ``), Note, `set gateway.confine to "proc"`, true},
		"non-root":     {all(unconfined, nonRoot), NotAvailable, "without root the agent is the gateway's user", true},
		"no-config":    {all(remove(config.DefaultFile), profileOf("demo")), NotAvailable, "see config", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			c.change(f)
			_, all, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
			if got := all["environment-open-in-children"]; got.Result != c.result || !strings.Contains(got.Detail, c.says) || r.OK != c.ok {
				t.Errorf("ok %v, %+v, want %s with %q", r.OK, got, c.result, c.says)
			}
		})
	}
}

// TestNonRootGateway checks that an image for containers without root must not be
// execute-only, and that the check for execute-only does not fail then.
func TestNonRootGateway(t *testing.T) {
	f := openclaw(t)
	all(nonRoot, mode(node24, 0o755))(f)
	bad, checks, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
	if got := checks["execute-only"]; !r.OK || got.Result != NotAvailable || !strings.Contains(got.Detail, "see gateway-not-readable") {
		t.Errorf("failed %v, execute-only %+v", bad, got)
	}
	if got := checks["gateway-not-readable"]; got.Result != Held {
		t.Errorf("gateway-not-readable %+v", got)
	}
}

// TestGoodPath checks that the folders of PATH behind the one with gatewayctl do
// not count, nor does a missing folder that only root can make.
func TestGoodPath(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		change func(*fixture)
		says   string
	}{
		"usual":          {"/usr/local/sbin:/usr/local/bin:/usr/bin", func(*fixture) {}, "up to /usr/local/bin"},
		"missing":        {"/opt/none/bin:/usr/local/bin", func(*fixture) {}, "up to /usr/local/bin"},
		"behind":         {"/usr/local/bin:/tmp:bin", func(*fixture) {}, "up to /usr/local/bin"},
		"file":           {"/usr/bin/env:/usr/local/bin", func(*fixture) {}, "up to /usr/local/bin"},
		"folder-by-name": {"/usr/bin:/usr/local/bin", put("/usr/bin/gatewayctl", dir(0o755, 0)), "up to /usr/local/bin"},
		"not-executable": {"/usr/bin:/usr/local/bin", put("/usr/bin/gatewayctl", file(0o644, "x")), "up to /usr/local/bin"},
		"merged-usr":     {"/bin:/usr/local/bin", func(*fixture) {}, "up to /usr/local/bin"},
		"none":           {"/usr/bin", func(*fixture) {}, "none holds gatewayctl"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			f.config["Env"] = []string{"PATH=" + c.path}
			c.change(f)
			bad, checks, r := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
			if got := checks["path"]; !r.OK || got.Result != Held || !strings.Contains(got.Detail, c.says) {
				t.Errorf("failed %v, path %+v", bad, got)
			}
		})
	}
}
