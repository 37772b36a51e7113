// SPDX-License-Identifier: Apache-2.0

package pathcheck

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// tree builds the places of the table below on a tmpfs at root.
func tree(t *testing.T, root string) {
	t.Helper()
	program := func(path string, mode fs.FileMode, uid int) {
		testenv.Must(t, errors.Join(os.WriteFile(root+path, []byte("#!/bin/true\n"), 0o600), os.Chown(root+path, uid, 0), os.Chmod(root+path, mode)))
	}
	dir := func(path string, mode fs.FileMode, uid int) {
		testenv.Must(t, errors.Join(os.Mkdir(root+path, 0o700), os.Chown(root+path, uid, 0), os.Chmod(root+path, mode)))
		program(path+"/p", 0o755, 0)
	}
	link := func(target, path string, uid int) {
		testenv.Must(t, errors.Join(os.Symlink(target, root+path), os.Lchown(root+path, uid, 0)))
	}
	dir("/root", 0o755, 0)
	dir("/gateway", 0o755, testenv.Gateway)
	dir("/stranger", 0o755, testenv.Stranger)
	dir("/group", 0o775, 0)
	dir("/world", 0o757, 0)
	dir("/sticky", 0o777|fs.ModeSticky, 0)
	dir("/stickystranger", 0o777|fs.ModeSticky, testenv.Stranger)
	dir("/root/sub", 0o755, 0)
	dir("/decoy", 0o755, 0)
	program("/root/own", 0o755, testenv.Gateway)
	program("/root/strange", 0o755, testenv.Stranger)
	program("/root/group", 0o775, 0)
	program("/root/world", 0o757, 0)
	program("/root/stickyfile", 0o777|fs.ModeSticky, 0)
	program("/root/plain", 0o644, 0)
	program("/sticky/strange", 0o755, testenv.Stranger)
	testenv.Must(t, unix.Mkfifo(root+"/root/fifo", 0o755))
	link("p", "/root/link", 0)
	link(root+"/root/p", "/root/absolute", 0)
	link("../world/p", "/root/out", 0)
	link("p", "/root/strangelink", testenv.Stranger)
	link("nowhere", "/root/dangling", 0)
	link("loop", "/root/loop", 0)
	link(root+"/world", "/root/jump", 0) // jump/../decoy/p is not /root/decoy/p
	link(root+"/world/deep", "/decoy/jump", 0)
	dir("/world/deep", 0o755, 0)
	link("jump/../p", "/decoy/detour", 0) // is /world/p, not /decoy/p
	link("sub/../p", "/root/around", 0)
}

// TestExecutable checks the way to a program. A user who can change any piece of it
// can have the token at the next start.
func TestExecutable(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	tree(t, "/mnt")
	for name, c := range map[string]struct {
		path string
		want error
		says string
	}{
		"root's":                      {"/root/p", nil, ""},
		"gateway's":                   {"/root/own", nil, ""},
		"gateway's-directory":         {"/gateway/p", nil, ""},
		"link":                        {"/root/link", nil, ""},
		"absolute-link":               {"/root/absolute", nil, ""},
		"sticky-directory":            {"/sticky/p", nil, ""},
		"dot-dot":                     {"/root/sub/../p", nil, ""},
		"dots-and-slashes":            {"//root/.//p", nil, ""},
		"link-with-dot-dot":           {"/root/around", nil, ""},
		"stranger's":                  {"/root/strange", fsafe.ErrUnsafe, "/mnt/root/strange: is owned by uid 54322"},
		"stranger's-in-sticky":        {"/sticky/strange", fsafe.ErrUnsafe, "is owned by"},
		"stranger's-directory":        {"/stranger/p", fsafe.ErrUnsafe, "/mnt/stranger: is owned by"},
		"stranger's-sticky-directory": {"/stickystranger/p", fsafe.ErrUnsafe, "/mnt/stickystranger: is owned by"},
		"stranger's-link":             {"/root/strangelink", fsafe.ErrUnsafe, "/mnt/root/strangelink: is owned by"},
		"group-writable":              {"/root/group", fsafe.ErrUnsafe, "/mnt/root/group: is writable by others (mode 0775)"},
		"world-writable":              {"/root/world", fsafe.ErrUnsafe, "is writable by others"},
		"sticky-file":                 {"/root/stickyfile", fsafe.ErrUnsafe, "is writable by others"},
		"group-directory":             {"/group/p", fsafe.ErrUnsafe, "/mnt/group: is writable"},
		"world-directory":             {"/world/p", fsafe.ErrUnsafe, "/mnt/world: is writable"},
		"link-out":                    {"/root/out", fsafe.ErrUnsafe, "/mnt/world: is writable"},
		"dot-dot-after-a-link":        {"/decoy/jump/../p", fsafe.ErrUnsafe, "/mnt/world: is writable"},
		"link-over-a-link":            {"/decoy/detour", fsafe.ErrUnsafe, "/mnt/world: is writable"},
		"not-executable":              {"/root/plain", syscall.EACCES, "chmod a+x"},
		"directory":                   {"/root/sub", syscall.EACCES, "not a regular file"},
		"dot-dot-at-the-end":          {"/root/sub/..", syscall.EACCES, "not a regular file"},
		"fifo":                        {"/root/fifo", syscall.EACCES, "not a regular file"},
		"missing":                     {"/root/missing", fs.ErrNotExist, "/root/missing"},
		"dangling":                    {"/root/dangling", fs.ErrNotExist, "/root/dangling"},
		"loop":                        {"/root/loop", syscall.ELOOP, "/root/loop"},
		"file-in-the-way":             {"/root/p/x", syscall.ENOTDIR, "/root/p"},
		"file-and-dot-dot":            {"/root/p/../p", syscall.ENOTDIR, "/root/p"},
		"endless":                     {strings.Repeat("/root/..", 200) + "/root/p", syscall.ELOOP, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/mnt" + c.path
			err := Executable(path, testenv.Gateway)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v, want %v that says %q", path, err, c.want, c.says)
			}
		})
	}
	for _, path := range []string{"", "p", "bin/p", "./p", "../p"} {
		if err := Executable(path, testenv.Gateway); !errors.Is(err, fsafe.ErrUnsafe) {
			t.Errorf("%q: got %v, want a refusal", path, err)
		}
	}
	if err := Executable("/", 0); !errors.Is(err, syscall.EACCES) {
		t.Errorf("the root: %v", err)
	}
}

// TestArguments checks the script that a command runs. The interpreter was root's,
// and the script was the agent's.
func TestArguments(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	tree(t, "/mnt")
	closed := func(path string, uid int) {
		testenv.Must(t, errors.Join(os.Chown(path, uid, uid), os.Chmod(path, 0o700)))
	}
	for dir, uid := range map[string]int{"/mnt/private": testenv.Gateway, "/mnt/home": testenv.Stranger} {
		testenv.Must(t, errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(dir+"/s", nil, 0o644)))
		closed(dir, uid)
	}
	testenv.Must(t, sys.SetCaps(0)) // as PID 1, which is root without DAC_OVERRIDE
	for name, c := range map[string]struct {
		words []string
		says  string
	}{
		"none":                     {nil, ""},
		"root's-script":            {[]string{"/mnt/root/plain"}, ""},
		"gateway's-script":         {[]string{"/mnt/root/own"}, ""},
		"link":                     {[]string{"/mnt/root/link"}, ""},
		"missing":                  {[]string{"/mnt/root/missing"}, ""},
		"missing-at-a-stranger's":  {[]string{"/mnt/stranger/missing"}, ""},
		"dangling":                 {[]string{"/mnt/root/dangling"}, ""},
		"loop":                     {[]string{"/mnt/root/loop"}, ""},
		"directory":                {[]string{"/mnt/world"}, ""},
		"stranger's-directory":     {[]string{"/mnt/stranger"}, ""},
		"fifo":                     {[]string{"/mnt/root/fifo"}, ""},
		"file-in-the-way":          {[]string{"/mnt/root/p/x"}, ""},
		"no-path":                  {[]string{"run", "", "--token", "mnt/root/strange", "--file=/mnt/root/strange"}, ""},
		"behind-its-own-closed":    {[]string{"/mnt/private/s"}, ""},
		"stranger's-script":        {[]string{"/mnt/root/strange"}, "/mnt/root/strange: is owned by uid 54322"},
		"writable-script":          {[]string{"/mnt/root/world"}, "/mnt/root/world: is writable by others"},
		"in-a-stranger's":          {[]string{"/mnt/stranger/p"}, "/mnt/stranger: is owned by"},
		"link-to-a-stranger's":     {[]string{"/mnt/root/out"}, "/mnt/world: is writable"},
		"behind-a-stranger-closed": {[]string{"/mnt/home/s"}, "/mnt/home: is owned by uid 54322"},
		"the-last-of-many":         {[]string{"gateway", "/mnt/root/plain", "--config", "/mnt/world/p"}, "/mnt/world: is writable"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Arguments(c.words, testenv.Gateway)
			if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, fsafe.ErrUnsafe) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestCommands checks that the gateway's program must be there, that no word of any
// command may be another user's, and that a sidecar's program may be missing.
func TestCommands(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	tree(t, "/mnt")
	for name, c := range map[string]struct {
		gateway, sidecar []string
		says             string
	}{
		"good":              {[]string{"/bin/sh", "/mnt/root/plain"}, []string{"/mnt/root/missing"}, ""},
		"no-program":        {[]string{"/mnt/root/missing"}, nil, "no such file"},
		"stranger's-script": {[]string{"/bin/sh", "/mnt/root/strange"}, nil, "/mnt/root/strange: is owned by"},
		"sidecar's-program": {[]string{"/bin/sh"}, []string{"/mnt/root/strange"}, "/mnt/root/strange: is owned by"},
	} {
		err := Commands(Command{c.gateway, testenv.Gateway}, []Command{{c.sidecar, testenv.Gateway}})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExecutableRoot checks an image whose root directory does not belong to root.
func TestExecutableRoot(t *testing.T) {
	for name, c := range map[string]struct {
		uid  int
		mode fs.FileMode
		want error
	}{
		"root's":         {0, 0o755, nil},
		"stranger's":     {testenv.Stranger, 0o755, fsafe.ErrUnsafe},
		"world-writable": {0, 0o777, fsafe.ErrUnsafe},
	} {
		t.Run(name, func(t *testing.T) {
			if !testenv.Inside(t, unix.CLONE_NEWNS) {
				return
			}
			testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
			tree(t, "/mnt")
			testenv.Must(t, errors.Join(os.Chown("/mnt", c.uid, 0), os.Chmod("/mnt", c.mode)))
			testenv.Must(t, errors.Join(unix.Chroot("/mnt"), os.Chdir("/")))
			if err := Executable("/root/p", testenv.Gateway); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestPath checks that Path takes a directory, or a file that cannot be executed, and
// returns its info.
func TestPath(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", 0, "mode=0755"))
	tree(t, "/mnt")
	testenv.Must(t, os.Symlink("/", "/mnt/top"))
	for name, c := range map[string]struct {
		path string
		want error
		mode fs.FileMode
	}{
		"plain-file":         {"/mnt/root/plain", nil, 0o644},
		"directory":          {"/mnt/root/sub", nil, fs.ModeDir | 0o755},
		"sticky-directory":   {"/mnt/sticky", nil, fs.ModeDir | fs.ModeSticky | 0o777},
		"link":               {"/mnt/root/around", nil, 0o755},
		"link-to-/":          {"/mnt/top/mnt/root/plain", nil, 0o644},
		"link-to-/-at-end":   {"/mnt/top", nil, fs.ModeDir},
		"root":               {"/", nil, fs.ModeDir},
		"world-directory":    {"/mnt/world", fsafe.ErrUnsafe, 0},
		"stranger's":         {"/mnt/root/strange", fsafe.ErrUnsafe, 0},
		"missing":            {"/mnt/root/missing", fs.ErrNotExist, 0},
		"relative":           {"root/plain", fsafe.ErrUnsafe, 0},
		"file-in-the-middle": {"/mnt/root/plain/x", syscall.ENOTDIR, 0},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := Path(c.path, testenv.Gateway)
			if !errors.Is(err, c.want) || (err == nil) != (st != nil) {
				t.Fatalf("got %v, %v, want %v", st, err, c.want)
			}
			if st != nil && (st.Mode().Type()&^fs.ModeSticky != c.mode.Type()&^fs.ModeSticky || c.mode.Perm() != 0 && st.Mode() != c.mode) {
				t.Errorf("mode %v, want %v", st.Mode(), c.mode)
			}
		})
	}
}
