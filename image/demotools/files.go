// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

func cat(args []string) error {
	if len(args) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, path := range args {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(args []string) error {
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, os.Stdin)
	return errors.Join(err, f.Close())
}

func ls(args []string) error {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err := stat([]string{filepath.Join(dir, e.Name())}); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// stat prints mode, owner, links, inode, size and path, one line each.
func stat(args []string) error {
	for _, path := range args {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if to, err := os.Readlink(path); err == nil {
				target = " -> " + to
			}
		}
		fmt.Printf("%s %04o %d:%d %d %d %d %s%s\n", info.Mode(), st.Mode&0o7777, st.Uid, st.Gid, st.Nlink, st.Ino, st.Size, path, target)
	}
	return nil
}

// mode reads an octal mode; the umask does not count.
func mode(text string) (uint32, error) {
	m, err := strconv.ParseUint(text, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("not an octal mode: %q", text)
	}
	return uint32(m), nil
}

func mkdir(args []string) error {
	m, err := mode(args[1])
	if err != nil {
		return err
	}
	return errors.Join(syscall.Mkdir(args[0], m), syscall.Chmod(args[0], m))
}

func chmod(args []string) error {
	m, err := mode(args[1])
	if err != nil {
		return err
	}
	return syscall.Chmod(args[0], m)
}

func chown(args []string) error {
	uid, err := number(args[1])
	if err != nil {
		return err
	}
	gid, err := number(args[2])
	if err != nil {
		return err
	}
	return os.Lchown(args[0], uid, gid)
}

func fifo(args []string) error {
	m, err := mode(args[1])
	if err != nil {
		return err
	}
	return errors.Join(syscall.Mkfifo(args[0], m), syscall.Chmod(args[0], m))
}

func remove(args []string) error {
	for _, path := range args {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// removeBelow empties a directory as far as this user may.
func removeBelow(args []string) error {
	entries, err := os.ReadDir(args[0])
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(args[0], e.Name())))
	}
	return err
}

// fill writes until so many bytes are there or there is no space.
func fill(args []string) error {
	limit, err := number(args[1])
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(args[0], "fill-")
	if err != nil {
		return err
	}
	defer f.Close()
	written, chunk := 0, make([]byte, 64<<10)
	for limit == 0 || written < limit {
		want := len(chunk)
		if limit > 0 {
			want = min(want, limit-written)
		}
		n, err := f.Write(chunk[:want])
		written += n
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			fmt.Printf("full after %d bytes: %s\n", written, f.Name())
			return nil
		} else if err != nil {
			return err
		}
	}
	fmt.Printf("wrote %d bytes: %s\n", written, f.Name())
	return nil
}

// nonblock sets O_NONBLOCK, which counts for all who share the open file.
func nonblock(args []string) error {
	fd, err := number(args[0])
	if err != nil {
		return err
	}
	return syscall.SetNonblock(fd, true)
}

// reopen asks whether a descriptor can be opened anew through /proc.
func reopen(args []string) error {
	f, err := os.OpenFile("/proc/self/fd/"+args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	return f.Close()
}

func stdioAll(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		fmt.Printf("stdout line %d\n", i)
		fmt.Fprintf(os.Stderr, "stderr line %d\n", i)
	}
	return nil
}
