// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// entries returns a layer of these entries, in this order.
func entries(t testing.TB, all ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range all {
		h.Format = tar.FormatPAX
		testenv.Must(t, w.WriteHeader(h))
	}
	testenv.Must(t, w.Close())
	return b.Bytes()
}

// Headers of entries without content.
func fileAt(name string, mode int64, id int) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Uid: id, Gid: id}
}

func dirAt(name string, mode int64, id int) *tar.Header {
	return &tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode, Uid: id, Gid: id}
}

func hardLink(name, to string, mode int64, id int) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: mode, Uid: id, Gid: id}
}

func symLink(name, to string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
}

func withXattr(h *tar.Header, name, value string) *tar.Header {
	h.PAXRecords = map[string]string{xattr + name: value}
	return h
}

// lowLayer is a layer that the layers of the tests are on.
func lowLayer(t testing.TB) []byte {
	return entries(t, dirAt("own", 0o700, 9001), fileAt("own/x", 0o600, 9001), dirAt("usual", 0o755, 0), fileAt("usual/x", 0o644, 0),
		dirAt("tmp", 0o1777, 0), fileAt("a", 0o644, 0), hardLink("b", "a", 0o644, 0), symLink("s", "usual"))
}

// TestLayersThatEnginesReadDifferently checks that a layer is refused if docker with
// overlay2, or containerd, gets another tree from it than a reader that applies the
// entries in their order.
func TestLayersThatEnginesReadDifferently(t *testing.T) {
	for name, c := range map[string]struct {
		top  []*tar.Header
		want string
	}{
		// Engines give the file the mode and owner of the last name.
		"link-with-setuid":      {[]*tar.Header{fileAt("p", 0o755, 0), hardLink("q", "p", 0o4755, 0)}, "/q is a hard link with mode 4755 of 0:0 to /p with mode 0755 of 0:0"},
		"link-without-setuid":   {[]*tar.Header{fileAt("p", 0o4755, 0), hardLink("q", "p", 0o755, 0)}, "/q is a hard link with mode 0755"},
		"link-of-another-owner": {[]*tar.Header{fileAt("p", 0o755, 0), hardLink("q", "p", 0o755, 9002)}, "mode 0755 of 9002:9002 to /p"},
		"link-to-a-link":        {[]*tar.Header{fileAt("p", 0o755, 0), hardLink("q", "p", 0o755, 0), hardLink("r", "q", 0o777, 0)}, "/r is a hard link with mode 0777 of 0:0 to /q"},
		"link-to-a-symlink":     {[]*tar.Header{symLink("p", "a"), hardLink("q", "p", 0o777, 9002)}, "/q is a hard link with mode 0777 of 9002:9002 to /p"},
		// With overlayfs only the files of the same layer are there.
		"link-before-its-target": {[]*tar.Header{hardLink("q", "a", 0o644, 0), fileAt("a", 0o755, 0)}, "/q is a hard link to /a, which is no earlier entry of this layer"},
		"link-across-layers":     {[]*tar.Header{hardLink("q", "a", 0o644, 0)}, "no earlier entry of this layer"},
		"link-to-itself":         {[]*tar.Header{fileAt("p", 0o644, 0), hardLink("p", "p", 0o644, 0)}, "/p is a hard link to /p, which is no earlier entry"},
		"link-over-its-folder":   {[]*tar.Header{dirAt("d", 0o755, 0), fileAt("d/p", 0o644, 0), hardLink("d", "d/p", 0o644, 0)}, "/d is a hard link to /d/p, which is no earlier entry"},
		// docker refuses these; others take the last one.
		"file-twice":       {[]*tar.Header{fileAt("p", 0o644, 0), fileAt("p", 0o4755, 0)}, "/p is in it twice"},
		"file-over-folder": {[]*tar.Header{fileAt("d/p", 0o644, 0), fileAt("d", 0o755, 0)}, "/d is in it twice"},
		"link-over-file":   {[]*tar.Header{fileAt("p", 0o644, 0), symLink("p", "a")}, "/p is in it twice"},
		// overlayfs has the new file, and a reader without it has none.
		"whiteout-behind-its-file":     {[]*tar.Header{fileAt("a", 0o600, 0), fileAt(".wh.a", 0, 0)}, "/a has its whiteout behind it"},
		"whiteout-behind-a-part":       {[]*tar.Header{dirAt("usual", 0o755, 0), fileAt("usual/new", 0o600, 0), fileAt(".wh.usual", 0, 0)}, "/usual has its whiteout behind it"},
		"whiteout-behind-implied-part": {[]*tar.Header{fileAt("usual/d/new", 0o600, 0), fileAt("usual/"+opaque, 0, 0)}, "/usual has its whiteout behind its entries"},
		// overlayfs hides the link, and a reader without it follows it or stops.
		"whiteout-below-a-link": {[]*tar.Header{fileAt("s/.wh.x", 0, 0)}, "/s/x is below something that is no directory"},
		"opaque-below-a-link":   {[]*tar.Header{fileAt("s/"+opaque, 0, 0)}, "/s/x is below something that is no directory"},
		"file-below-a-link":     {[]*tar.Header{fileAt("s/new", 0o644, 0)}, "/s/new is below something that is no directory"},
		"below-a-whiteout":      {[]*tar.Header{fileAt(".wh.d/x", 0o644, 0)}, "cannot use /.wh.d/x: it is below a whiteout"},
		"below-meta":            {[]*tar.Header{fileAt(".wh..wh.plnk/1", 0o4755, 0), hardLink("q", ".wh..wh.plnk/1", 0o4755, 0)}, "/.wh..wh.plnk/1: it is below a whiteout"},
		// With overlay2, docker gives such a directory to root, with mode 0755.
		"implied-folder":         {[]*tar.Header{fileAt("own/new", 0o600, 9001)}, "it changes /own (mode 0700 of 9001:9001) and has no entry for it"},
		"implied-sticky-folder":  {[]*tar.Header{fileAt("tmp/new", 0o600, 0)}, "it changes /tmp (mode 1777 of 0:0)"},
		"implied-by-a-whiteout":  {[]*tar.Header{fileAt("own/.wh.x", 0, 0)}, "it changes /own (mode 0700 of 9001:9001)"},
		"implied-by-opaque":      {[]*tar.Header{fileAt("own/"+opaque, 0, 0)}, "it changes /own (mode 0700 of 9001:9001)"},
		"attribute-of-overlayfs": {[]*tar.Header{withXattr(dirAt("usual", 0o755, 0), "trusted.overlay.opaque", "y")}, `attribute of overlayfs, "trusted.overlay.opaque"`},
		"redirect-of-overlayfs":  {[]*tar.Header{withXattr(dirAt("usual", 0o755, 0), "user.overlay.redirect", "/own")}, `attribute of overlayfs, "user.overlay.redirect"`},
		"whiteout-of-overlayfs":  {[]*tar.Header{{Name: "a", Typeflag: tar.TypeChar, Mode: 0o644}}, "it is a device 0:0, which is a whiteout of overlayfs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(makeArchive(t, lowLayer(t), entries(t, c.top...)))
			if !errors.Is(err, errReaders) || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), errReaders.Error()) != 1 {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestLayersThatEnginesReadAlike checks forms that engines write themselves.
func TestLayersThatEnginesReadAlike(t *testing.T) {
	for name, c := range map[string]struct {
		top  []*tar.Header
		want []string // lines of the tree
	}{
		"links":                 {[]*tar.Header{fileAt("p", 0o4755, 7), hardLink("q", "p", 0o4755, 7), hardLink("r", "q", 0o4755, 7)}, []string{"/p f 4755 7 3", "/r f 4755 7 3"}},
		"link-to-a-symlink":     {[]*tar.Header{symLink("p", "a"), hardLink("q", "p", 0o644, 0)}, []string{"/q l 0777 0 2"}},
		"links-copied-up":       {[]*tar.Header{fileAt("a", 0o600, 0), hardLink("b", "a", 0o600, 0)}, []string{"/a f 0600 0 2", "/b f 0600 0 2"}},
		"one-of-two-links":      {[]*tar.Header{fileAt("a", 0o600, 0)}, []string{"/a f 0600 0 1", "/b f 0644 0 2"}},
		"whiteout-of-a-link":    {[]*tar.Header{fileAt(".wh.a", 0, 0)}, []string{"/b f 0644 0 2"}},
		"whiteout-then-file":    {[]*tar.Header{fileAt(".wh.a", 0, 0), fileAt("a", 0o600, 0)}, []string{"/a f 0600 0 1"}},
		"file-becomes-a-folder": {[]*tar.Header{dirAt("a", 0o755, 0), fileAt("a/"+opaque, 0, 0), fileAt("a/x", 0o600, 0)}, []string{"/a d 0755 0 0", "/a/x f 0600 0 1"}},
		"folder-twice":          {[]*tar.Header{dirAt("own", 0o700, 9001), dirAt("own", 0o711, 9001)}, []string{"/own d 0711 9001 0", "/own/x f 0600 9001 1"}},
		"folder-behind-a-file":  {[]*tar.Header{fileAt("own/new", 0o600, 9001), dirAt("own", 0o700, 9001)}, []string{"/own d 0700 9001 0", "/own/new f 0600 9001 1"}},
		"usual-folder":          {[]*tar.Header{fileAt("usual/new", 0o600, 0), fileAt("usual/.wh.x", 0, 0)}, []string{"/usual d 0755 0 0", "/usual/new f 0600 0 1"}},
		"new-folder":            {[]*tar.Header{fileAt("n/m/x", 0o600, 0)}, []string{"/n/m d 0755 0 0"}},
		"opaque-then-file":      {[]*tar.Header{dirAt("own", 0o700, 9001), fileAt("own/"+opaque, 0, 0), fileAt("own/y", 0o600, 9001)}, []string{"/own/y f 0600 9001 1"}},
		"global-header":         {[]*tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}}, fileAt("p", 0o600, 0)}, []string{"/p f 0600 0 1"}},
		"device":                {[]*tar.Header{{Name: "n", Typeflag: tar.TypeChar, Mode: 0o600, Devmajor: 1, Devminor: 3}}, []string{"/n a device 0600 0 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			im, _, err := readAll(makeArchive(t, lowLayer(t), entries(t, c.top...)))
			testenv.Must(t, err)
			got := strings.Split(strings.NewReplacer("a regular file", "f", "a directory", "d", "a symbolic link", "l").Replace(im.tree.String()), "\n")
			for _, line := range c.want {
				if !slices.Contains(got, line) {
					t.Errorf("no %q in %q", line, got)
				}
			}
		})
	}
}

// TestHardLinkCannotChangeAGatewayProgram checks the attack: a second name whose header
// makes a program setuid, or gives it to the agent. The control is the same image with
// the header that engines write.
func TestHardLinkCannotChangeAGatewayProgram(t *testing.T) {
	const program = "/usr/local/bin/demogateway"
	for name, c := range map[string]struct {
		e      entry
		refuse string
	}{
		"control": {entry{hard: program}, ""},
		"setuid":  {entry{hard: program, mode: 0o4755}, "a hard link with mode 4755 of 0:0"},
		"given":   {entry{hard: program, mode: 0o777, uid: 9002, gid: 9002}, "a hard link with mode 0777 of 9002:9002"},
		"init":    {entry{hard: initPath, mode: 0o4755}, "to /usr/local/sbin/gateway-init with mode 0711"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			put("/usr/bin/second", c.e)(f)
			for how, data := range map[string][]byte{"legacy": f.legacy(t), "oci": f.oci(t)} {
				r, err := Run(context.Background(), Archive(bytes.NewReader(data)), f.options)
				if c.refuse == "" && (err != nil || !r.OK) || c.refuse != "" && (!errors.Is(err, errReaders) || !strings.Contains(err.Error(), c.refuse)) {
					t.Errorf("%s: got %+v, %v; want %q", how, r, err, c.refuse)
				}
			}
		})
	}
}

// TestHardLinkMayGiveCapabilities checks that capabilities count that only the header of
// a second name has. Engines set them on the shared file.
func TestHardLinkMayGiveCapabilities(t *testing.T) {
	f := demo(t)
	put("/usr/bin/second", entry{hard: "/usr/bin/env", capable: true})(f)
	bad, all, _ := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
	if !slices.Equal(bad, []string{"capabilities"}) || !strings.Contains(all["capabilities"].Detail, "/usr/bin/env") {
		t.Errorf("failed %v, %+v", bad, all["capabilities"])
	}
}

// TestWhiteoutLeavesSecondLink checks that a program with two names in one layer is
// refused if a later layer removes one of them: with overlayfs the file still has two
// links, and boot refuses it.
func TestWhiteoutLeavesSecondLink(t *testing.T) {
	f := demo(t)
	put("/usr/bin/second", entry{hard: initPath})(f)
	f.above("/usr/bin/.wh.second", file(0, ""))
	bad, all, _ := result(t, Archive(bytes.NewReader(f.legacy(t))), f.options)
	if !slices.Equal(bad, []string{"init"}) || !strings.Contains(all["init"].Detail, "has 2 links") {
		t.Errorf("failed %v, %+v", bad, all["init"])
	}
}
