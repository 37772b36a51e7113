// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// checkPath checks the PATH of the image, in which docker exec looks gatewayctl up
// as root. If another user can fill a folder before the right one, that user's file
// runs as root. gateway-init applies the same rule at boot (internal/pathcheck).
func checkPath(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	search := environ.DefaultPath // the engine's default
	for _, kv := range s.image.config.Config.Env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = value
		}
	}
	if search == "" {
		return resultFailed("PATH is empty: take it out of ENV")
	}
	for _, entry := range strings.Split(search, ":") {
		found, err := s.search(entry, path.Base(ctlPath))
		if err != nil {
			return resultFailed("docker exec runs as root what it finds in PATH: %v", err)
		}
		if found {
			return resultHeld("only root can change the folders up to %.200s", entry)
		}
	}
	return resultHeld("only root can change its folders; none holds gatewayctl")
}

// search checks one entry of PATH and reports whether it holds the program.
func (s *inspection) search(entry, name string) (found bool, err error) {
	if !path.IsAbs(entry) {
		return false, fmt.Errorf("%.200q is not an absolute path: write it out", entry)
	}
	n, err := s.way(entry)
	switch {
	case err != nil:
		return false, s.unlessRoots(err)
	case n.kind != fsafe.Directory:
		return false, nil
	case n.writable():
		return false, checkOthersMayWrite(entry, n)
	}
	n, err = s.way(path.Join(entry, name))
	if err != nil {
		return false, s.unlessRoots(err)
	}
	return n.kind == fsafe.Regular && n.mode&0o111 != 0, nil
}

// unlessRoots returns nil for a name that is missing and that only root can
// make. In a sticky directory every user can make it.
func (s *inspection) unlessRoots(err error) error {
	missing := (*missingError)(nil)
	if !errors.As(err, &missing) {
		return err
	}
	parent := path.Dir(missing.path)
	if n := s.tree.at(parent); n.writable() {
		return checkOthersMayWrite(parent, n)
	}
	return nil
}

func checkOthersMayWrite(dir string, n *node) error {
	return fmt.Errorf("%.200s lets others make files (mode %04o): take it out of PATH", dir, n.mode)
}
