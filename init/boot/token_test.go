// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// runtime is a runtime directory in memory, as PID 1 has it.
func runtime(t *testing.T) (*runtimedir.Dir, users.User) {
	t.Helper()
	testenv.Root(t)
	return &runtimedir.Dir{File: testenv.Tmpfs(t, "mode=0711"), Path: "/run/test"}, users.User{Name: "gateway", UID: testenv.Gateway, GID: testenv.Gateway}
}

func content(t *testing.T, dir *runtimedir.Dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(testenv.Path(dir.File, name))
	testenv.Must(t, err)
	return string(data)
}

// Each life has its own token, and PID 1 knows it by its digest alone.
func TestMint(t *testing.T) {
	dir, user := runtime(t)
	first, err := mint(dir, user)
	testenv.Must(t, err)
	old := content(t, dir, tokenName)
	if len(old) != 64 || first.Sum() != sha256.Sum256([]byte(old)) {
		t.Errorf("token of %d bytes, digest differs: %v", len(old), first.Sum() != sha256.Sum256([]byte(old)))
	}
	st := first.Status()
	if st.UID != 0 || st.GID != 0 || st.Mode != "0400" || st.Path != "/run/test/gateway-token" || st.Generation != 1 || st.Inode == 0 {
		t.Errorf("status %+v", st)
	}
	// The next life finds it, and half a rotation too. A former release gave the
	// file to the gateway's user.
	testenv.Must(t, os.WriteFile(testenv.Path(dir.File, tokenName+fsafe.NewSuffix), []byte("x"), 0o400))
	testenv.Must(t, os.Chown(testenv.Path(dir.File, tokenName), testenv.Gateway, testenv.Gateway))
	second, err := mint(dir, user)
	testenv.Must(t, err)
	if content(t, dir, tokenName) == old || second.Sum() == first.Sum() {
		t.Error("the token of another life is in force")
	}
	if _, err := os.Lstat(testenv.Path(dir.File, tokenName+fsafe.NewSuffix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half rotation is still there: %v", err)
	}
}

// opens reports whether a child that is launched now would get this token.
func opens(t *testing.T, k *keeper, text string) bool {
	t.Helper()
	f, err := k.Open()
	testenv.Must(t, err)
	defer f.Close()
	s, err := tokenfile.ReadFrom(f)
	testenv.Must(t, err)
	return s.Equal([]byte(text))
}

// A rotation shows only when it is committed; until then, and after an abort,
// the old token is the one.
func TestRotationShowsOnlyWhenCommitted(t *testing.T) {
	dir, user := runtime(t)
	k, err := mint(dir, user)
	testenv.Must(t, err)
	old, sum := content(t, dir, tokenName), k.Sum()
	testenv.Must(t, k.Prepare())
	if content(t, dir, tokenName) != old || k.Sum() != sum || !opens(t, k, old) {
		t.Error("a prepared token is in force")
	}
	testenv.Must(t, k.Abort())
	if content(t, dir, tokenName) != old || k.Sum() != sum || k.Status().Generation != 1 {
		t.Error("an aborted token is in force")
	}
	testenv.Must(t, k.Prepare())
	testenv.Must(t, k.Commit())
	if now := content(t, dir, tokenName); now == old || k.Sum() != sha256.Sum256([]byte(now)) || !opens(t, k, now) {
		t.Error("the digest is not that of the committed token")
	}
	if st := k.Status(); st.Generation != 2 || st.Mode != "0400" || st.UID != 0 {
		t.Errorf("status %+v", st)
	}
}

// What a process may still have of us is the token in force or the one before;
// nothing else is, and without a gateway nothing at all.
func TestMinted(t *testing.T) {
	dir, user := runtime(t)
	k, err := mint(dir, user)
	testenv.Must(t, err)
	tokens := []string{content(t, dir, tokenName)}
	for range 2 {
		testenv.Must(t, k.Prepare())
		testenv.Must(t, k.Commit())
		tokens = append(tokens, content(t, dir, tokenName))
	}
	for i, want := range []bool{false, true, true} {
		if k.minted([]byte(tokens[i])) != want {
			t.Errorf("token %d: want %t", i, want)
		}
		if (*keeper)(nil).minted([]byte(tokens[i])) {
			t.Errorf("token %d: without a gateway", i)
		}
	}
	for _, text := range []string{"", "preset", tokens[2][1:], tokens[2] + "0", strings.Repeat("0", 64)} {
		if k.minted([]byte(text)) {
			t.Errorf("%q is ours", text)
		}
	}
}

// A leftover is removed only if it can be ours; anything else under its name
// refuses boot, by name, and stays: somebody put it there.
func TestRemoveLeftover(t *testing.T) {
	dir, _ := runtime(t)
	for name, c := range map[string]struct {
		plant func(path string) error
		want  string // part of the refusal; "" is removed
	}{
		"nothing":       {func(string) error { return nil }, ""},
		"ours":          {func(p string) error { return os.WriteFile(p, nil, 0o400) }, ""},
		"the-gateway's": {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o400), os.Chown(p, testenv.Gateway, 0)) }, ""},
		"a-stranger's": {func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o400), os.Chown(p, testenv.Stranger, 0))
		}, "owned by uid"},
		"a-link":         {func(p string) error { return os.Symlink("/etc/passwd", p) }, "symbolic link"},
		"a-dangling-one": {func(p string) error { return os.Symlink("nowhere", p) }, "symbolic link"},
		"a-directory":    {func(p string) error { return os.Mkdir(p, 0o700) }, "directory"},
		"linked-twice":   {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o400), os.Link(p, p+"2")) }, "links"},
	} {
		t.Run(name, func(t *testing.T) {
			path := testenv.Path(dir.File, "left")
			testenv.Must(t, c.plant(path))
			t.Cleanup(func() { os.Remove(path); os.Remove(path + "2") })
			err := removeLeftover(dir, "left", 0, testenv.Gateway)
			_, gone := os.Lstat(path)
			if c.want == "" && (err != nil || !errors.Is(gone, os.ErrNotExist)) {
				t.Errorf("got %v, file: %v", err, gone)
			}
			if c.want != "" && (!errors.Is(err, fsafe.ErrUnsafe) || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), filepath.Base(path)) || gone != nil) {
				t.Errorf("got %v, file: %v", err, gone)
			}
		})
	}
}
