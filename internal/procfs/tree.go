// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"slices"
)

// Bounds of a process and its descendants.
const (
	MaxTree      = 256     // processes
	treeChildren = 1 << 15 // children of one of them
)

// Tree returns pid and its descendants, at most MaxTree processes. Orphaned
// descendants are not among them. A process that ends meanwhile, or that /proc hides, is
// left out.
func Tree(pid int) ([]ID, error) {
	pids := []int{pid}
	var tree []ID
	for i := 0; i < len(pids) && i < MaxTree; i++ {
		id, err := Identify(pids[i])
		if err == nil {
			tree = append(tree, id)
			pids, err = AppendChildren(pids, id.PID)
		}
		if err != nil && !IsGone(err) && !errors.Is(err, ErrHidden) {
			return tree, err
		}
	}
	return tree, nil
}

// AppendChildren returns tree with pid's children added. It stops at one process more
// than MaxTree, which tells the caller that there are too many.
func AppendChildren(tree []int, pid int) ([]int, error) {
	pids, err := Children(pid, treeChildren)
	for _, child := range pids {
		if !slices.Contains(tree, child) && len(tree) <= MaxTree {
			tree = append(tree, child)
		}
	}
	return tree, err
}

// maxDepth bounds a walk from a process up to its first ancestor.
const maxDepth = 256

// IsRelated reports whether pid is ancestor or a descendant of it. It errs on the side
// of true, so it returns true if a process cannot be seen or has too many
// ancestors.
func IsRelated(pid, ancestor int) bool {
	for range maxDepth {
		if pid == ancestor {
			return true
		}
		st, err := ReadStat(pid)
		if err != nil {
			return true
		}
		if pid = st.PPID; pid == 0 {
			return false
		}
	}
	return true
}
