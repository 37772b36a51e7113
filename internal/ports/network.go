// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"io/fs"
	"os"
)

// HasDevice reports whether an interface of our network namespace has a physical device.
// Then the namespace is mostly the host's (--network host). If /sys does not show the
// interfaces, it is taken for a container's.
func HasDevice() bool { return hasDevice("/sys/class/net") }

func hasDevice(dir string) bool {
	interfaces, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		if _, err := os.Lstat(dir + "/" + i.Name() + "/device"); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}
