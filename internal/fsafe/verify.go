// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Type is a file type as in st_mode.
type Type uint32

// The types that callers demand.
const (
	Regular   Type = unix.S_IFREG
	Directory Type = unix.S_IFDIR
	FIFO      Type = unix.S_IFIFO
)

func (t Type) String() string {
	switch uint32(t) {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFSOCK:
		return "a socket"
	default:
		return "a device"
	}
}

// Want holds the properties that an open file must have. Zero and nil mean any value.
type Want struct {
	Type                Type
	UID, GID            *uint32
	Mode                *uint32 // exactly these 12 permission bits
	NotWritableByOthers bool    // neither group nor world may write
	Links               uint64
}

// ID returns a UID or GID for Want.
func ID(id uint32) *uint32 { return &id }

// Mode returns permission bits for Want, at most 0o7777.
func Mode(mode uint32) *uint32 { return &mode }

// Info is the result of fstat(2) on a descriptor.
type Info struct {
	Dev, Ino uint64
	UID, GID uint32
	Type     Type
	Mode     uint32 // permission bits, set-id and sticky included
	Links    uint64
	Size     int64
}

// Same reports whether both are the same inode.
func (i Info) Same(o Info) bool { return i.Dev == o.Dev && i.Ino == o.Ino }

// Stat calls fstat(2) on f. It works on O_PATH descriptors too.
func Stat(f *os.File) (Info, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	runtime.KeepAlive(f)
	if err != nil {
		return Info{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return info(&st), nil
}

// StatAt calls fstatat(2) on name in dir and follows no link. Use it only to tell
// whether a name still means an inode that is held open, and never to decide which
// file to open.
func StatAt(dir *os.File, name string) (Info, error) {
	full := join(dir, name)
	if err := checkName(name, full); err != nil {
		return Info{}, err
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	runtime.KeepAlive(dir)
	if err != nil {
		return Info{}, &os.PathError{Op: "stat", Path: full, Err: err}
	}
	return info(&st), nil
}

func info(st *unix.Stat_t) Info {
	return Info{
		Dev: uint64(st.Dev), Ino: st.Ino, UID: st.Uid, GID: st.Gid,
		Type: Type(st.Mode & unix.S_IFMT), Mode: st.Mode & 0o7777,
		Links: uint64(st.Nlink), Size: st.Size,
	}
}

// Verify refuses f, with a named reason, unless it is as w demands.
func Verify(f *os.File, w Want) (Info, error) {
	i, err := Stat(f)
	if err != nil {
		return i, err
	}
	if problem := w.mismatch(i); problem != "" {
		return i, &UnsafeError{f.Name(), problem}
	}
	return i, nil
}

// VerifyAt does the same as Verify for a name in dir, with the reservation of StatAt.
func VerifyAt(dir *os.File, name string, w Want) (Info, error) {
	i, err := StatAt(dir, name)
	if err != nil {
		return i, err
	}
	if problem := w.mismatch(i); problem != "" {
		return i, &UnsafeError{join(dir, name), problem}
	}
	return i, nil
}

// mismatch returns the first difference, in words, or "".
func (w Want) mismatch(i Info) string {
	switch {
	case w.Type != 0 && i.Type != w.Type:
		return fmt.Sprintf("is %v, not %v", i.Type, w.Type)
	case w.UID != nil && i.UID != *w.UID:
		return fmt.Sprintf("is owned by uid %d, not %d", i.UID, *w.UID)
	case w.GID != nil && i.GID != *w.GID:
		return fmt.Sprintf("is of group %d, not %d", i.GID, *w.GID)
	case w.Mode != nil && i.Mode != *w.Mode:
		return fmt.Sprintf("has mode %04o, not %04o", i.Mode, *w.Mode)
	case w.NotWritableByOthers && i.Mode&0o022 != 0:
		return fmt.Sprintf("is writable by others (mode %04o)", i.Mode)
	case w.Links != 0 && i.Links != w.Links:
		return fmt.Sprintf("has %d links, not %d", i.Links, w.Links)
	}
	return ""
}
