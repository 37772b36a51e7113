// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

func TestRead(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			testenv.Must(t, os.WriteFile(path, []byte(text), 0o400))
			testenv.Must(t, os.Chown(path, int(policy.UID), int(policy.GID)))
		}
	}
	with := func(f func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			write(good)(t, path)
			testenv.Must(t, f(path))
		}
	}
	alone := func(f func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, path string) { testenv.Must(t, f(path)) }
	}
	for name, c := range map[string]struct {
		make func(*testing.T, string)
		want error
	}{
		"good":            {write(good), nil},
		"missing":         {func(*testing.T, string) {}, ErrMissing},
		"empty":           {write(""), ErrEmpty},
		"too-short":       {write(good[1:]), ErrMalformed},
		"newline":         {write(good + "\n"), ErrMalformed},
		"newline-inside":  {write(good[1:] + "\n"), ErrMalformed},
		"too-long":        {write(good + good), ErrMalformed},
		"huge":            {write(strings.Repeat(good, 2000)), ErrMalformed},
		"upper-case":      {write(strings.ToUpper(good)), ErrMalformed},
		"not-hex":         {write("g" + good[1:]), ErrMalformed},
		"not-hex-at-end":  {write(good[:63] + "`"), ErrMalformed},
		"nul":             {write(good[:63] + "\x00"), ErrMalformed},
		"wrong-owner":     {with(func(p string) error { return os.Chown(p, testenv.Stranger, int(policy.GID)) }), ErrUnsafe},
		"root's":          {with(func(p string) error { return os.Chown(p, 0, int(policy.GID)) }), ErrUnsafe},
		"wrong-group":     {with(func(p string) error { return os.Chown(p, int(policy.UID), 0) }), ErrUnsafe},
		"group-readable":  {with(func(p string) error { return os.Chmod(p, 0o440) }), ErrUnsafe},
		"writable":        {with(func(p string) error { return os.Chmod(p, 0o600) }), ErrUnsafe},
		"setuid":          {with(func(p string) error { return os.Chmod(p, 0o400|os.ModeSetuid) }), ErrUnsafe},
		"two-links":       {with(func(p string) error { return os.Link(p, p+"2") }), ErrUnsafe},
		"link-to-a-token": {with(func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink("token2", p)) }), ErrUnsafe},
		"dangling-link":   {alone(func(p string) error { return os.Symlink("nowhere", p) }), ErrUnsafe},
		"directory":       {alone(func(p string) error { return os.Mkdir(p, 0o700) }), ErrUnsafe},
		"fifo":            {alone(func(p string) error { return unix.Mkfifo(p, 0o400) }), ErrUnsafe},
		"socket":          {alone(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o400, 0) }), ErrUnsafe},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Tmpfs(t)
			c.make(t, testenv.Path(dir, fileName))
			s, err := Read(dir, fileName, policy)
			if !errors.Is(err, c.want) || (s != nil) != (c.want == nil) {
				t.Fatalf("got %v %v, want %v", s, err, c.want)
			}
			switch {
			case err == nil && (string(s.Bytes()) != good || s.Sum() != sha256.Sum256([]byte(good))):
				t.Error("read another token")
			case err != nil && strings.Contains(err.Error(), good[2:10]):
				t.Errorf("the error tells of the token: %v", err)
			}
		})
	}
}

// TestFileSystem checks that no token reaches a disk, unless it was permitted.
func TestFileSystem(t *testing.T) {
	testenv.Root(t)
	proc := testenv.Dir(t, "/proc/self") // no memory file system, on any machine
	for name, err := range map[string]error{
		"mint":    second(Mint(proc, fileName, policy)),
		"prepare": second(prepareRotation(proc, fileName, policy)),
		"rotate":  second(rotate(proc, fileName, policy)),
		"read":    second(Read(proc, "auxv", Policy{RequireTmpfs: true})), // root-owned, 0400, one link
	} {
		if !errors.Is(err, errNotTmpfs) || !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: got %v, want %v", name, err, errNotTmpfs)
		}
	}
	any := policy
	any.RequireTmpfs = false
	for name, dir := range map[string]*os.File{"ramfs": testenv.Ramfs(t), "permitted": testenv.Dir(t, t.TempDir())} {
		p := policy
		if name == "permitted" {
			p = any
		}
		s, err := Mint(dir, fileName, p)
		testenv.Must(t, err)
		if got, err := Read(dir, fileName, p); err != nil || !bytes.Equal(got.Bytes(), s.Bytes()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestAsPID1 checks all of it with the rights that PID 1 keeps. Another user reads
// the token through the descriptor alone.
func TestAsPID1(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	own := Policy{RequireTmpfs: true}
	dir := testenv.Tmpfs(t, "mode=0711")
	privs.Drop(privs.Needed)
	_, err := Mint(dir, fileName, own)
	testenv.Must(t, err)
	_, err = prepareRotation(dir, fileName, own)
	testenv.Must(t, errors.Join(err, abortRotation(dir, fileName)))
	_, err = rotate(dir, fileName, own)
	testenv.Must(t, err)
	testenv.Must(t, remove(dir, fileName))
	last, err := Mint(dir, fileName, own)
	testenv.Must(t, err)
	if got, err := Read(dir, fileName, own); err != nil || !bytes.Equal(got.Bytes(), last.Bytes()) {
		t.Errorf("root reads %v, %v", got, err)
	}
	f, err := Open(dir, fileName, own)
	testenv.Must(t, err)

	testenv.Must(t, errors.Join(syscall.Setgroups(nil), syscall.Setgid(testenv.Gateway), syscall.Setuid(testenv.Gateway)))
	if got, err := Read(dir, fileName, own); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the gateway's user opens it: %v, %v", got, err)
	}
	if again, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd()))); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the gateway's user opens what it was handed once more: %v, %v", again, err)
	}
	for range 2 { // pread(2) leaves the offset
		if got, err := ReadFrom(f); err != nil || !bytes.Equal(got.Bytes(), last.Bytes()) {
			t.Errorf("the gateway's user reads %v, %v from what it was handed", got, err)
		}
	}
}

// TestOwnerRewrites checks that only the digest shows that the owner has put another
// token into its own file.
func TestOwnerRewrites(t *testing.T) {
	dir, s := minted(t)
	f, err := os.OpenFile(testenv.Path(dir, fileName), os.O_WRONLY, 0)
	testenv.Must(t, err)
	defer f.Close()
	_, err = f.WriteString(strings.Repeat("e", Len))
	testenv.Must(t, err)
	got, err := Read(dir, fileName, policy)
	testenv.Must(t, err)
	if got.Sum() == s.Sum() || bytes.Equal(got.Bytes(), s.Bytes()) {
		t.Error("a rewritten token passes for the old one")
	}
}
