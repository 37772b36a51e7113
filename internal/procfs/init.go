// SPDX-License-Identifier: Apache-2.0

package procfs

import "slices"

// IsOtherInit reports whether a program's name is that of another init that an engine or
// an image puts before a container's program.
func IsOtherInit(name string) bool {
	return slices.Contains([]string{"docker-init", "tini", "tini-static", "catatonit", "dumb-init"}, name)
}
