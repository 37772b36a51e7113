// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

const (
	own     = "/etc/openclaw/openclaw.json"
	content = "{\"gateway\": {\"auth\": {\"mode\": \"token\", \"token\": \"s3cret\"}}}\n"
)

// openclaw is the layout in image/profiles/openclaw.verify.json.
var openclaw = Layout{
	File: own, Token: "gateway.auth.token", Mode: "gateway.auth.mode", ModeValue: "token", Password: "gateway.auth.password",
	Backups: []string{".bak", ".last-good"},
}

// root makes an image's tree with a configuration to seal.
func root(t *testing.T) string {
	t.Helper()
	testenv.Root(t)
	dir := t.TempDir()
	for _, d := range []string{"/etc/openclaw", "/etc/gateway-init"} {
		testenv.Must(t, os.MkdirAll(dir+d, 0o755))
	}
	write(t, dir+own, content, 0o640)
	testenv.Must(t, os.Chown(dir+own, 0, testenv.Gateway))
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	testenv.Must(t, os.WriteFile(path, []byte(text), mode))
	testenv.Must(t, os.Chmod(path, mode))
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	testenv.Must(t, err)
	return string(data)
}

func TestSeal(t *testing.T) {
	dir := root(t)
	other := strings.Repeat("ab", 32)
	write(t, dir+PinFile, fmt.Sprintf(`{"schema":1,"files":[{"path":"/z","sha256":%q},{"path":%q,"sha256":%q}]}`, other, own, other), 0o644)
	write(t, dir+own+".bak", content, 0o600)
	write(t, dir+own+".bak.1", "{", 0o600)
	write(t, dir+own+".last-good", `{"gateway":{"auth":{"token":""}}}`, 0o600)
	write(t, dir+"/etc/openclaw/notes", content, 0o600)
	done, err := openclaw.Seal(dir, own)
	testenv.Must(t, err)
	if !done.Cleared || !done.Pinned || len(done.Removed) != 2 || !strings.HasPrefix(done.Removed[0], "openclaw.json.bak (gateway.auth.token is set") ||
		!strings.HasPrefix(done.Removed[1], "openclaw.json.bak.1 (it is not strict JSON") {
		t.Errorf("did %+v", done)
	}
	if got := read(t, dir+own); got != strings.Replace(content, "s3cret", "", 1) {
		t.Errorf("the file is %q", got)
	}
	f := testenv.Dir(t, dir+own)
	if _, err := fsafe.Verify(f, fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(0), GID: fsafe.ID(testenv.Gateway), Mode: fsafe.Mode(0o640), Links: 1}); err != nil {
		t.Error(err)
	}
	want := fmt.Sprintf(`{"schema":1,"files":[{"path":%q,"sha256":%q},{"path":"/z","sha256":%q}]}`+"\n", own, done.SHA256, other)
	if got := read(t, dir+PinFile); got != want {
		t.Errorf("pinned %s, want %s", got, want)
	}
	for _, name := range []string{own + ".last-good", "/etc/openclaw/notes"} {
		read(t, dir+name)
	}

	before := testenv.Dir(t, dir+own)
	again, err := openclaw.Seal(dir, own)
	if err != nil || again.Cleared || again.Pinned || len(again.Removed) != 0 || again.SHA256 != done.SHA256 {
		t.Errorf("a second run: %+v, %v", again, err)
	}
	a, _ := fsafe.Stat(before)
	b, _ := fsafe.Stat(testenv.Dir(t, dir+own))
	if !a.Same(b) {
		t.Error("a second run wrote the file again")
	}
}

// TestSealRefuses checks that a refusal comes before any change.
func TestSealRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"json5":           {func(t *testing.T, dir string) { write(t, dir+own, "{ // no\n}", 0o644) }, own + ": 1:3: expected a key in double quotes: it must be strict JSON"},
		"mode-none":       {func(t *testing.T, dir string) { write(t, dir+own, `{"gateway":{"auth":{"mode":"none"}}}`, 0o644) }, "gateway.auth.mode"},
		"too-large":       {func(t *testing.T, dir string) { write(t, dir+own, strings.Repeat(" ", MaxSize+1), 0o644) }, "file is too large"},
		"group-writable":  {func(t *testing.T, dir string) { testenv.Must(t, os.Chmod(dir+own, 0o664)) }, "writable by others"},
		"other-owner":     {func(t *testing.T, dir string) { testenv.Must(t, os.Chown(dir+own, testenv.Stranger, 0)) }, "is owned by uid 54322"},
		"two-links":       {func(t *testing.T, dir string) { testenv.Must(t, os.Link(dir+own, dir+"/etc/second")) }, "has 2 links"},
		"folder-writable": {func(t *testing.T, dir string) { testenv.Must(t, os.Chmod(dir+"/etc/openclaw", 0o777)) }, "writable by others"},
		"missing":         {func(t *testing.T, dir string) { testenv.Must(t, os.Remove(dir+own)) }, "no such file"},
		"link": {func(t *testing.T, dir string) {
			testenv.Must(t, os.Rename(dir+own, dir+"/etc/x"))
			testenv.Must(t, os.Symlink("../x", dir+own))
		}, "symbolic link"},
		"no-pin-folder":    {func(t *testing.T, dir string) { testenv.Must(t, os.Remove(dir+"/etc/gateway-init")) }, "no such file"},
		"broken-pins":      {func(t *testing.T, dir string) { write(t, dir+PinFile, `{"schema":2,"files":[]}`, 0o644) }, "seal.json: 1:11: schema: is not 1"},
		"pins-writable":    {func(t *testing.T, dir string) { write(t, dir+PinFile, `{"schema":1,"files":[]}`, 0o666) }, "writable by others"},
		"backup-is-a-link": {func(t *testing.T, dir string) { testenv.Must(t, os.Symlink("x", dir+own+".bak")) }, "openclaw.json.bak: is a symbolic link or not a directory: remove it"},
		"backup-foreign":   {func(t *testing.T, dir string) { write(t, dir+own+".bak", content, 0o666) }, "openclaw.json.bak: is writable by others"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := root(t)
			c.change(t, dir)
			before := tree(t, dir)
			done, err := openclaw.Seal(dir, own)
			if err == nil || !strings.HasPrefix(err.Error(), "cannot seal "+own+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %+v, %v; want %q", done, err, c.want)
			}
			if known := errors.Is(err, fsafe.ErrUnsafe) || errors.As(err, new(*ContentError)) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsafe.ErrTooLarge); !known {
				t.Errorf("an error of no kind: %v", err)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("it changed something:\n%s\n%s", before, after)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		if _, err := openclaw.Seal("/", "etc/x.json"); !errors.Is(err, fsafe.ErrUnsafe) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSealCannotWrite checks that a failed write is an error and leaves the old file.
func TestSealCannotWrite(t *testing.T) {
	dir := root(t)
	testenv.Must(t, os.Mkdir(dir+own+fsafe.NewSuffix, 0o755))
	if _, err := openclaw.Seal(dir, own); !errors.Is(err, fsafe.ErrUnsafe) || read(t, dir+own) != content {
		t.Errorf("got %v", err)
	}
	testenv.Must(t, os.Remove(dir+own+fsafe.NewSuffix))
	testenv.Must(t, os.Mkdir(dir+PinFile+fsafe.NewSuffix, 0o755))
	if done, err := openclaw.Seal(dir, own); !errors.Is(err, fsafe.ErrUnsafe) || !done.Cleared || done.Pinned {
		t.Errorf("got %+v, %v", done, err)
	}
}

// tree returns names, modes and contents below dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	testenv.Must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&b, path, info.Mode(), info.Size())
		if d.Type().IsRegular() && err == nil {
			data, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%.200q\n", data)
			return err
		}
		return err
	}))
	return b.String()
}
