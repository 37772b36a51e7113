// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// newStore mints a token in dir, as PID 1 does at boot.
func newStore(t *testing.T, dir *os.File) *Store {
	t.Helper()
	s, err := NewStore(dir, "/run/test", Policy{RequireTmpfs: true}, testenv.Gateway)
	testenv.Must(t, err)
	return s
}

func content(t *testing.T, dir *os.File) string {
	t.Helper()
	data, err := os.ReadFile(testenv.Path(dir, Name))
	testenv.Must(t, err)
	return string(data)
}

// TestNewStore checks that each run has its own token, of which PID 1 keeps a digest.
func TestNewStore(t *testing.T) {
	dir := testenv.Tmpfs(t)
	first := newStore(t, dir)
	old := content(t, dir)
	if len(old) != 64 || first.Sum() != sha256.Sum256([]byte(old)) {
		t.Errorf("token of %d bytes, digest differs: %v", len(old), first.Sum() != sha256.Sum256([]byte(old)))
	}
	st := first.Status()
	if st.UID != 0 || st.GID != 0 || st.Mode != "0400" || st.Path != "/run/test/gateway-token" || st.Generation != 1 || st.Inode == 0 {
		t.Errorf("status %+v", st)
	}
	// The next run finds it, with half a rotation. An earlier release gave the file
	// to the gateway's user.
	testenv.Must(t, os.WriteFile(testenv.Path(dir, Name+fsafe.NewSuffix), []byte("x"), 0o400))
	testenv.Must(t, os.WriteFile(testenv.Path(dir, Name+fsafe.ReserveSuffix), []byte(old), 0o600))
	testenv.Must(t, os.Chown(testenv.Path(dir, Name), testenv.Gateway, testenv.Gateway))
	second := newStore(t, dir)
	if content(t, dir) == old || second.Sum() == first.Sum() {
		t.Error("the token of another life is in force")
	}
	if _, err := os.Lstat(testenv.Path(dir, Name+fsafe.NewSuffix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half rotation is still there: %v", err)
	}
	if data, err := os.ReadFile(testenv.Path(dir, Name+fsafe.ReserveSuffix)); err != nil || !bytes.Equal(data, make([]byte, Len)) {
		t.Errorf("the reserve of another life is still there: %q, %v", data, err)
	}
}

// opens reports whether a child that is launched now would get this token.
func opens(t *testing.T, s *Store, text string) bool {
	t.Helper()
	f, err := s.Open()
	testenv.Must(t, err)
	defer f.Close()
	secret, err := ReadFrom(f)
	testenv.Must(t, err)
	return bytes.Equal(secret.Bytes(), []byte(text))
}

// TestRemoveAll checks that nothing of a token stays behind at the end, not even half a
// rotation.
func TestRemoveAll(t *testing.T) {
	dir := testenv.Tmpfs(t)
	s := newStore(t, dir)
	testenv.Must(t, s.Prepare())
	testenv.Must(t, RemoveAll(dir, 0))
	if left, err := os.ReadDir(testenv.Path(dir, "")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestStoreRotates checks that a new token shows only after Commit. Until then, and
// after Abort, the old one is in force.
func TestStoreRotates(t *testing.T) {
	dir := testenv.Tmpfs(t)
	s := newStore(t, dir)
	old, sum := content(t, dir), s.Sum()
	testenv.Must(t, s.Prepare())
	if content(t, dir) != old || s.Sum() != sum || !opens(t, s, old) {
		t.Error("a prepared token is in force")
	}
	testenv.Must(t, s.Abort())
	if content(t, dir) != old || s.Sum() != sum || s.Status().Generation != 1 {
		t.Error("an aborted token is in force")
	}
	testenv.Must(t, s.Prepare())
	testenv.Must(t, s.Commit())
	if now := content(t, dir); now == old || s.Sum() != sha256.Sum256([]byte(now)) || !opens(t, s, now) {
		t.Error("the digest is not that of the committed token")
	}
	if st := s.Status(); st.Generation != 2 || st.Mode != "0400" || st.UID != 0 {
		t.Errorf("status %+v", st)
	}
}

// TestHasMinted checks that a process may have the token in force or the one before,
// and no other. Without a gateway there is none.
func TestHasMinted(t *testing.T) {
	dir := testenv.Tmpfs(t)
	s := newStore(t, dir)
	tokens := []string{content(t, dir)}
	for range 2 {
		testenv.Must(t, s.Prepare())
		testenv.Must(t, s.Commit())
		tokens = append(tokens, content(t, dir))
	}
	for i, want := range []bool{false, true, true} {
		if s.HasMinted([]byte(tokens[i])) != want {
			t.Errorf("token %d: want %t", i, want)
		}
		if (*Store)(nil).HasMinted([]byte(tokens[i])) {
			t.Errorf("token %d: without a gateway", i)
		}
	}
	for _, text := range []string{"", "preset", tokens[2][1:], tokens[2] + "0", strings.Repeat("0", 64)} {
		if s.HasMinted([]byte(text)) {
			t.Errorf("%q is ours", text)
		}
	}
}

// TestNewStoreRefuses checks that a foreign entry in the way stays, without a token.
func TestNewStoreRefuses(t *testing.T) {
	for _, name := range []string{Name, Name + fsafe.NewSuffix, Name + fsafe.ReserveSuffix} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Tmpfs(t)
			testenv.Must(t, os.WriteFile(testenv.Path(dir, name), []byte("x"), 0o400))
			testenv.Must(t, os.Chown(testenv.Path(dir, name), testenv.Stranger, 0))
			s, err := NewStore(dir, "/run/test", Policy{RequireTmpfs: true}, testenv.Gateway)
			if s != nil || !errors.Is(err, fsafe.ErrUnsafe) || !errors.Is(err, fsafe.ErrRemove) || !strings.Contains(err.Error(), name+": is owned by uid") {
				t.Errorf("got %v, %v", s, err)
			}
			if all := names(t, dir); !slices.Equal(all, []string{name}) {
				t.Errorf("the directory holds %v", all)
			}
		})
	}
}
