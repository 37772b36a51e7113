// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// checkTree checks that everything could be looked at, because an unread part
// could hold anything.
func checkTree(s *inspection) checkResult {
	if len(s.unread) > 0 {
		return resultUnavailable("cannot look at %s", joinFew(s.unread))
	}
	if len(s.skipped) > 0 {
		return resultHeld("%d entries; mounted and left out: %s", s.entries, joinFew(s.skipped))
	}
	text := fmt.Sprintf("%d entries, %d layers", s.entries, s.layers)
	if s.platform != "" {
		text += ", " + s.platform
	}
	if len(s.others) > 0 {
		return resultNote("%s; not checked: %s: save each platform alone (docker save --platform) and check it", text, joinFew(s.others))
	}
	return resultHeld("%s", text)
}

// plain checks that a file is a regular file of root with one name and one of
// the modes.
func (s *inspection) plain(unsafePath string, modes ...uint32) checkResult {
	n := s.tree.at(unsafePath)
	if n == nil {
		return resultFailed("%s is missing", unsafePath)
	}
	if problem := rootFile(n); problem != "" {
		return resultFailed("%s %s", unsafePath, problem)
	}
	if !slices.Contains(modes, n.mode) {
		return resultFailed("%s has mode %04o, not %04o: chmod it", unsafePath, n.mode, modes[0])
	}
	return resultHeld("%s, mode %04o", unsafePath, n.mode)
}

// rootFile returns the reason, in words, why n is not a file that only root can
// change.
func rootFile(n *node) string {
	switch {
	case n.kind != fsafe.Regular:
		return fmt.Sprintf("is %v, not a regular file", n.kind)
	case n.uid != 0 || n.gid != 0:
		return fmt.Sprintf("is owned by %d:%d: chown 0:0 it", n.uid, n.gid)
	case n.writable():
		return fmt.Sprintf("is writable by others (mode %04o): chmod go-w it", n.mode)
	case n.links != 1:
		return fmt.Sprintf("has %d links: copy it, so that it has one name only", n.links)
	}
	return ""
}

// checkInit checks the mode of gateway-init. If the gateway's user can read the
// program, it can trace a launch, because the kernel closes only a process whose
// program that user cannot read.
func checkInit(s *inspection) checkResult {
	v := s.plain(initPath, s.options.initModes()...)
	if n := s.tree.at(initPath); v.result == Failed && n != nil && n.mode&0o044 != 0 && rootFile(n) == "" {
		return resultFailed("%s has mode %04o, not 0711: launch-traceable: a process of the gateway's user can trace a launch and read the token: chmod 0711 it", initPath, n.mode)
	}
	return v
}

// initModes returns the modes of gateway-init. If all users are one, a launch is
// open to that user in any case.
func (o Options) initModes() []uint32 {
	if o.NonRoot {
		return []uint32{0o711, 0o755}
	}
	return []uint32{0o711}
}

func checkCtl(s *inspection) checkResult {
	if s.options.NonRoot {
		return s.plain(ctlPath, 0o755, 0o700)
	}
	return s.plain(ctlPath, 0o700)
}

// checkHashes reports the hashes of both programs, and checks that they are the
// expected ones.
func checkHashes(s *inspection) checkResult {
	text := ""
	for i, at := range []string{initPath, ctlPath} {
		n, name := s.tree.at(at), path.Base(at)
		if n == nil || n.sum == "" {
			return resultUnavailable("cannot read %s", at)
		}
		if want := s.options.Sums[name]; want != "" && want != n.sum {
			return resultFailed("%s is %s, not %s: copy the release again", name, n.sum, want)
		}
		if i > 0 {
			text += ", "
		}
		text += name + " " + n.sum
	}
	return resultHeld("%s", text)
}

func checkConfig(s *inspection) checkResult {
	n := s.tree.at(config.DefaultFile)
	if n == nil {
		return resultFailed("%s is missing", config.DefaultFile)
	}
	if problem := rootFile(n); problem != "" {
		return resultFailed("%s %s", config.DefaultFile, problem)
	}
	if s.configErr != nil {
		return resultFailed("%v", s.configErr)
	}
	port := fmt.Sprintf("port %d", s.config.Gateway.Port)
	if s.config.Gateway.RandomPort() {
		port = "a random port"
	}
	if p := s.config.Publish; p != nil {
		port += fmt.Sprintf(", published on port %d of %s", p.Port, p.Address)
	}
	return resultHeld("gateway %s on %s", s.config.Gateway.Command[0], port)
}

// checkProfile checks that the configuration is for the profile's gateway.
func checkProfile(s *inspection) checkResult {
	switch p := s.profile; {
	case s.config == nil:
		return resultUnavailable("see config")
	case p.tokenEnv != "" && s.config.Gateway.TokenEnv != p.tokenEnv:
		return resultFailed("gateway.token_env is %s, %s reads %s", s.config.Gateway.TokenEnv, p.name, p.tokenEnv)
	case !p.fits(s.config):
		return resultFailed("gateway.command is not that of %s", p.name)
	}
	return resultHeld("%s, token in %s", s.profile.name, s.config.Gateway.TokenEnv)
}

// checkParents checks the directories on the way to each file, because a user
// that can rename one of them chooses the file. No link may be on the way,
// because gateway-init follows none (/bin and the like of a merged /usr are on
// no such way, and checkPrograms follows them).
func checkParents(s *inspection) checkResult {
	files := []string{initPath, ctlPath, config.DefaultFile}
	if s.profile.own.File != "" {
		files = append(files, s.profile.own.File, seal.PinFile)
	}
	for _, file := range files {
		_, err := s.tree.follow(path.Dir(file), func(at string, n *node) error {
			switch {
			case n.kind == link:
				return fmt.Errorf("%s is a symbolic link: make it a directory", at)
			case n.uid != 0:
				return fmt.Errorf("%s is owned by uid %d: chown root it", at, n.uid)
			case n.writable():
				return fmt.Errorf("%s is writable by others (mode %04o): chmod go-w it", at, n.mode)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another check says what is missing
			return resultFailed("on the way to %s: %v", file, err)
		}
	}
	return resultHeld("only root can change what leads to %d files", len(files))
}

// trusted returns the file that a path leads to, if only root can change it and the
// way to it. gateway-init applies this rule at boot (internal/pathcheck).
func (s *inspection) trusted(unsafePath string) (*node, error) {
	n, err := s.way(unsafePath)
	if err == nil && n.kind != fsafe.Regular {
		err = fmt.Errorf("%s is %v, not a regular file", unsafePath, n.kind)
	}
	return n, err
}

// way returns the node that a path leads to, if only root can change it and the
// way to it.
func (s *inspection) way(unsafePath string) (*node, error) {
	return s.tree.follow(unsafePath, func(at string, n *node) error {
		if n.uid != 0 {
			return fmt.Errorf("%s is owned by uid %d: chown root it", at, n.uid)
		}
		if n.writable() && (n.kind != fsafe.Directory || n.mode&0o1000 == 0) {
			return fmt.Errorf("%s is writable by others (mode %04o): chmod go-w it", at, n.mode)
		}
		return nil
	})
}
