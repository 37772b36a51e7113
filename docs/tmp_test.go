// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	tmpfsFlag  = regexp.MustCompile(`(?:--tmpfs|--mount type=tmpfs)[ =,]+"?((?:\S*=)?/tmp\b[^\s"` + "`" + `|\])]*)`)
	tmpfsList  = regexp.MustCompile(`(?m)\btmpfs: *\[([^\]]*)\]`)
	tmpfsBlock = regexp.MustCompile(`(?m)^ *tmpfs:\n((?: +- .*\n?)+)`)
	emptyDir   = regexp.MustCompile(`emptyDir: *\{([^}]*)\}`)
	emptyBlock = regexp.MustCompile(`(?m)^( *)emptyDir:\n((?: +\w+:.*\n?)+)`)
)

// unboundedTmp returns the parts of a text that mount a /tmp, or a volume in memory, without
// a size. What is in it counts as memory of the container, and the kernel can take it from
// no process. So the agent could fill it until the kernel ends the gateway.
func unboundedTmp(text string) (found []string) {
	check := func(part string, bounded bool) {
		if !bounded {
			found = append(found, strings.TrimSpace(part))
		}
	}
	for _, m := range tmpfsFlag.FindAllStringSubmatch(text, -1) {
		if path := m[1]; path == "/tmp" || !strings.HasPrefix(path, "/tmp/") {
			check(m[0], strings.Contains(path, "size="))
		}
	}
	var mounts []string
	for _, m := range tmpfsList.FindAllStringSubmatch(text, -1) {
		mounts = append(mounts, strings.Split(m[1], ",")...)
	}
	for _, m := range tmpfsBlock.FindAllStringSubmatch(text, -1) {
		mounts = append(mounts, strings.Split(strings.TrimSpace(m[1]), "\n")...)
	}
	for i, mount := range mounts {
		mount = strings.Trim(mount, " -\"'")
		if path, options, _ := strings.Cut(mount, ":"); path == "/tmp" {
			for _, next := range mounts[i+1:] { // its options may have been split, too
				if next = strings.Trim(next, " \"'"); strings.HasPrefix(next, "/") {
					break
				}
				options += "," + next
			}
			check("tmpfs: "+mount, strings.Contains(options, "size="))
		}
	}
	for _, m := range emptyDir.FindAllStringSubmatch(text, -1) {
		check(m[0], strings.Contains(m[1], "sizeLimit:") || !strings.Contains(m[1], "Memory"))
	}
	for _, m := range emptyBlock.FindAllStringSubmatch(text, -1) {
		check(m[0], strings.Contains(m[2], "sizeLimit:") || !strings.Contains(m[2], "Memory"))
	}
	return found
}

// TestTmpIsBounded checks that each command, compose file and manifest that a page, a manual
// or a script shows bounds its /tmp, and each emptyDir in memory.
func TestTmpIsBounded(t *testing.T) {
	seen := 0
	for name, text := range files(t, ".md", ".sh", ".yml", ".yaml", ".tmpl", "") {
		if strings.HasPrefix(name, "tests"+string(filepath.Separator)) {
			continue
		}
		seen += strings.Count(text, "/tmp:size=")
		for _, part := range unboundedTmp(text) {
			t.Errorf("%s: it has no size: %s", name, part)
		}
	}
	if seen < 9 {
		t.Errorf("found only %d bounded /tmp", seen)
	}
}

// TestUnboundedTmpIsFound is the control of TestTmpIsBounded.
func TestUnboundedTmpIsFound(t *testing.T) {
	for text, want := range map[string]int{
		"docker run --tmpfs /tmp -d x":                                  1,
		"docker run --tmpfs=/tmp x":                                     1,
		"run it with `--tmpfs /tmp`":                                    1,
		"--tmpfs /tmp:mode=1777,exec \\":                                1,
		"--tmpfs /tmp --tmpfs /tmp:size=1m":                             1,
		"--mount type=tmpfs,destination=/tmp x":                         1,
		"--mount type=tmpfs,target=/tmp,tmpfs-size=64m x":               0,
		"--tmpfs /tmp:size=256m x":                                      0,
		"--tmpfs /tmp:mode=1777,size=256m x":                            0,
		"--tmpfs /tmp/openclaw-gateway:uid=9001 x":                      0,
		"--tmpfs /run/gateway-init:mode=0700,size=1m x":                 0,
		"tmpfs: [/tmp]":                                                 1,
		`tmpfs: ["/run/gateway-init:mode=0700,size=1m", "/tmp"]`:        1,
		`tmpfs: ["/run/gateway-init:mode=0700,size=1m", "/tmp:size=1"]`: 0,
		"tmpfs: [/tmp:mode=1777,size=1m]":                               0,
		"  tmpfs:\n    - /run/x:size=1m\n    - /tmp\n  init: x\n":       1,
		"  tmpfs:\n    - /tmp:size=64m\n":                               0,
		"{name: tmp, emptyDir: {medium: Memory}}":                       1,
		"{name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}}":       0,
		"{name: tmp, emptyDir: {}}":                                     0,
		"    emptyDir:\n      medium: Memory\n":                         1,
		"    emptyDir:\n      medium: Memory\n      sizeLimit: 64Mi\n":  0,
	} {
		if got := unboundedTmp(text); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
}
