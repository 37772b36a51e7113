// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/procfs"
)

// maxFiles bounds the descriptors of one process.
const maxFiles = 1 << 16

// ListUnheld returns those of the listeners that neither the process pid nor one of
// its descendants has open. pid must be a child that is not reaped yet, or be
// verified again afterwards. If one of these processes cannot be seen, the error is
// ErrUnproven.
func ListUnheld(ls []Listener, pid int) (unheld []Listener, err error) {
	left, err := excludeTree(pid, inodesOf(ls))
	for _, l := range ls {
		if slices.Contains(left, l.Inode) {
			unheld = append(unheld, l)
		}
	}
	return unheld, err
}

// IsHeld reports whether the process pid or one of its descendants has the socket
// open. The rules for pid are those of ListUnheld.
func IsHeld(inode uint64, pid int) (bool, error) {
	left, err := excludeTree(pid, []uint64{inode})
	return err == nil && len(left) == 0, err
}

// Holds reports whether the process pid itself has one of the listeners open.
func Holds(pid int, ls []Listener) (bool, error) {
	left, err := excludeProcess(pid, inodesOf(ls))
	return len(left) < len(ls), err
}

// HeldBy returns those of the sockets that the process pid itself has open.
func HeldBy(pid int, inodes []uint64) (held []uint64, err error) {
	left, err := excludeProcess(pid, slices.Clone(inodes))
	for _, inode := range inodes {
		if !slices.Contains(left, inode) {
			held = append(held, inode)
		}
	}
	return held, err
}

func inodesOf(ls []Listener) []uint64 {
	inodes := make([]uint64, 0, len(ls))
	for _, l := range ls {
		inodes = append(inodes, l.Inode)
	}
	return inodes
}

// excludeTree returns inodes without the sockets that a process of pid's tree has
// open. It goes from the top down, because usually the gateway itself has all of
// them. An orphaned process is no longer in the tree.
func excludeTree(pid int, inodes []uint64) (left []uint64, err error) {
	left = inodes
	tree := []int{pid}
	for i := 0; i < len(tree) && len(left) > 0; i++ {
		if i == procfs.MaxTree {
			return nil, fmt.Errorf("%w: the gateway has more than %d processes", ErrUnproven, procfs.MaxTree)
		}
		if left, err = excludeProcess(tree[i], left); err == nil {
			tree, err = procfs.AppendChildren(tree, tree[i])
		}
		if err != nil && (i == 0 || !procfs.IsGone(err)) {
			return nil, fmt.Errorf("%w: cannot see what process %d holds: %w", ErrUnproven, tree[i], err)
		}
	}
	return left, nil
}

// excludeProcess removes the sockets that pid itself has open from inodes.
func excludeProcess(pid int, inodes []uint64) ([]uint64, error) {
	if len(inodes) == 0 {
		return nil, nil
	}
	err := procfs.EachFile(pid, maxFiles, func(name string) error {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(name, "]"), "socket:[")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			inodes = slices.DeleteFunc(inodes, func(i uint64) bool { return i == n })
		}
		return nil
	})
	return inodes, err
}
