// SPDX-License-Identifier: Apache-2.0

package pathcheck

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestSearch checks that no PATH entry before the right one is another user's to
// fill. Root's docker exec runs the first match.
func TestSearch(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	tree(t, "/mnt")
	for name, c := range map[string]struct{ search, says string }{
		"root's":                 {"/root", ""},
		"after-the-right-one":    {"/root:/world:relative", ""},
		"missing":                {"/nowhere/bin:/root", ""},
		"of-a-file":              {"/root/p:/root", ""},
		"without-the-program":    {"/root/sub/../sub", ""},
		"dangling":               {"/root/dangling:/root", ""},
		"world":                  {"/world:/root", "/mnt/world: is writable by others (mode 0757)"},
		"group":                  {"/group:/root", "/mnt/group: is writable by others (mode 0775)"},
		"stranger":               {"/stranger:/root", "/mnt/stranger: is owned by uid 54322: chown root it"},
		"gateway":                {"/gateway:/root", "/mnt/gateway: is owned by uid 54321: chown root it"},
		"sticky":                 {"/sticky:/root", "/mnt/sticky: lets others make files (mode 0777): take it out of PATH"},
		"missing-in-sticky":      {"/sticky/bin:/root", "/mnt/sticky: lets others make files"},
		"deep-missing-in-sticky": {"/sticky/a/b/bin:/root", "/mnt/sticky: lets others make files"},
		"missing-in-a-home":      {"/stranger/bin:/root", "/mnt/stranger: is owned by uid 54322"},
		"relative":               {"bin:/root", "is not an absolute path"},
		"empty-entry":            {":/root", "is not an absolute path"},
		"nothing":                {"", "PATH is empty"},
		"link-out":               {"/root/jump:/root", "/mnt/world: is writable by others"},
		"loop":                   {"/root/loop:/root", "too many levels"},
	} {
		t.Run(name, func(t *testing.T) {
			search := c.search
			if strings.Contains(search, "/") {
				search = strings.ReplaceAll(":"+search, ":/", ":/mnt/")[1:]
			}
			if name == "after-the-right-one" {
				search = "/mnt/root:/mnt/world:relative"
			}
			err := Search(search, "p")
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: got %v, want %q", search, err, c.says)
			}
		})
	}
	// The file itself decides, too, because a link may lead to another user's.
	for file, want := range map[string]string{"strange": "is owned by uid 54322", "group": "is writable by others", "strangelink": "is owned by uid 54322", "out": "/mnt/world: is writable", "plain": ""} {
		if err := Search("/mnt/root", file); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}
