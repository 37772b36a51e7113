// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// This file has the reserve: a file that keeps the space of one token, so that a rotation
// works when others have filled the file system. A token is as long as any other, so the
// file can become the next token. When the former token has left its space, the reserve
// is made again. If others take that space first, it is made when there is space.

// makeReserve makes name.reserve, which keeps the space of one token, if it is missing. It
// has no token, and is writable by its owner until it becomes name.new.
func makeReserve(dir *os.File, name string, p Policy) error {
	name += fsafe.ReserveSuffix
	if _, err := fsafe.StatAt(dir, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsafe.WriteNew(dir, name, make([]byte, Len), 0o600, &fsafe.Owner{UID: p.UID, GID: p.GID})
	if err != nil {
		return err
	}
	return f.Close()
}

// useReserve writes text into name.reserve, and renames that to name.new. It needs no
// space. A crash in between leaves a token in name.reserve that was never in force. The
// caller owns the descriptor.
func useReserve(dir *os.File, name string, text []byte) (f *os.File, err error) {
	reserve := name + fsafe.ReserveSuffix
	if err := fsafe.Overwrite(dir, reserve, text); err != nil {
		return nil, err
	}
	if f, err = fsafe.OpenAt(dir, reserve, unix.O_RDONLY); err != nil {
		return nil, err
	}
	if err = fsafe.Chmod(f, mode); err == nil {
		err = fsafe.Rename(dir, reserve, name+fsafe.NewSuffix)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
