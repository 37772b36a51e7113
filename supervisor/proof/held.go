// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/procfs"
)

// Bounds of the search for the processes that hold a socket.
const (
	maxTree     = 256     // processes of the gateway
	maxChildren = 1 << 15 // of one of them
	maxFiles    = 1 << 16 // descriptors of one
)

// JudgeHolders is Judge where gateway and agent have the same uid. A listener is the
// gateway's if the process pid or a descendant of it has the socket among its
// descriptors. pid must be a child that is not reaped yet, or be proved again
// afterwards. If one of these processes cannot be seen, the error is ErrUnproven,
// and no listener counts as foreign.
//
// Not defended: the agent can pass its descriptor to the gateway only with the
// gateway's help, but it can trace the gateway (docs/tcb.md).
func JudgeHolders(ls []Listener, pid int) (o Ownership, foreign []Listener, err error) {
	left, err := notHeld(pid, inodesOf(ls))
	if err != nil {
		return Missing, nil, err
	}
	for _, l := range ls {
		if slices.Contains(left, l.Inode) {
			foreign = append(foreign, l)
		}
	}
	switch {
	case len(ls) == 0:
		return Missing, nil, nil
	case len(foreign) > 0:
		return Foreign, foreign, nil
	}
	return Ours, nil, nil
}

// holder makes a worker's two lookups by descriptor instead of by uid.
type holder struct {
	pid int
	uid uint32
}

// maxLooks is the number of searches in a row that must find no holder of a
// connection.
const maxLooks = 2

// noUser is the uid of a socket that the gateway does not hold. No user has this
// uid.
const noUser = ^uint32(0)

func (h holder) listeners(port uint16) ([]Listener, error) {
	ls, err := Listeners(port)
	if err != nil {
		return nil, err
	}
	_, foreign, err := JudgeHolders(ls, h.pid)
	for i, l := range ls {
		ls[i].UID = h.uid
		if slices.Contains(foreign, l) {
			ls[i].UID = noUser
		}
	}
	return ls, err
}

// ownerOf returns the gateway's uid if the gateway holds the server's end, and
// noUser if it does not. A connection without a known holder may have been accepted
// or closed while the descriptors were read. So it counts as foreign only if it
// still exists after that, and if two searches found no holder.
func (h holder) ownerOf(local, remote netip.AddrPort) (uint32, error) {
	s, err := serverEnd(local, remote, lookup)
	for range maxLooks {
		var left []uint64
		if err == nil {
			left, err = notHeld(h.pid, []uint64{s.inode})
		}
		if err != nil {
			return 0, err
		}
		if len(left) == 0 {
			return h.uid, nil
		}
		s, err = serverEnd(local, remote, lookup)
	}
	return noUser, err
}

// notHeld returns the sockets that no process of pid's tree has. It goes from the
// top down, because usually the gateway itself has all of them. An orphaned process
// is no longer in the tree, and its sockets count as foreign.
func notHeld(pid int, inodes []uint64) ([]uint64, error) {
	left := slices.Clone(inodes)
	tree := []int{pid}
	for i := 0; i < len(tree) && len(left) > 0; i++ {
		if i == maxTree {
			return nil, fmt.Errorf("%w: the gateway has more than %d processes", ErrUnproven, maxTree)
		}
		var err error
		if left, err = excludeHeld(tree[i], left); err == nil {
			tree, err = withChildren(tree[i], tree)
		}
		if err != nil && (i == 0 || !procfs.IsGone(err)) {
			return nil, fmt.Errorf("%w: cannot see what process %d holds: %w", ErrUnproven, tree[i], err)
		}
	}
	return left, nil
}

// Tree returns pid and its descendants, at most 256 processes. Orphaned descendants
// are not among them. A process that ends meanwhile is left out.
func Tree(pid int) ([]procfs.Process, error) {
	pids := []int{pid}
	var tree []procfs.Process
	for i := 0; i < len(pids) && i < maxTree; i++ {
		p, err := procfs.Capture(pids[i])
		if err == nil {
			tree = append(tree, p)
			pids, err = withChildren(p.PID, pids)
		}
		if err != nil && !procfs.IsGone(err) {
			return tree, err
		}
	}
	return tree, nil
}

// Holds reports whether the process pid itself has one of the sockets open.
func Holds(pid int, ls []Listener) (bool, error) {
	left, err := excludeHeld(pid, inodesOf(ls))
	return len(left) < len(ls), err
}

func inodesOf(ls []Listener) []uint64 {
	inodes := make([]uint64, 0, len(ls))
	for _, l := range ls {
		inodes = append(inodes, l.Inode)
	}
	return inodes
}

// excludeHeld returns inodes without the sockets that pid has open.
func excludeHeld(pid int, inodes []uint64) ([]uint64, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	if len(inodes) == 0 {
		return nil, nil
	}
	err := procfs.EachName(dir, maxFiles, func(fd string) error {
		text, _ := os.Readlink(dir + "/" + fd) // closed meanwhile, so it holds nothing
		digits, ok := strings.CutPrefix(strings.TrimSuffix(text, "]"), "socket:[")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			inodes = slices.DeleteFunc(inodes, func(i uint64) bool { return i == n })
		}
		return nil
	})
	return inodes, err
}

// withChildren returns tree with pid's children added.
func withChildren(pid int, tree []int) ([]int, error) {
	pids, err := procfs.Children(pid, maxChildren)
	for _, child := range pids {
		if !slices.Contains(tree, child) && len(tree) <= maxTree {
			tree = append(tree, child)
		}
	}
	return tree, err
}
