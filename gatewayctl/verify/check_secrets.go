// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// isToken and isRuntime report whether base names a file that no image may have.
func isToken(base string) bool {
	return base == tokenfile.Name || base == tokenfile.Name+fsafe.NewSuffix
}

func isRuntime(base string) bool { return base == "status.json" || base == "control" }

// checkTokenFiles looks for the files of a runtime directory. A container that
// was committed has the files that its gateway-init wrote, if the runtime
// directory was not a tmpfs.
func checkTokenFiles(s *inspection) checkResult {
	dirs := []string{"/run/gateway-init", "/dev/.gateway-init"}
	if s.config != nil {
		dirs = append(dirs, s.config.RuntimeDir)
	}
	var found []string
	for _, t := range s.traces {
		dir, base := path.Split(t.path)
		if isToken(base) || isRuntime(base) && slices.Contains(dirs, path.Clean(dir)) {
			found = append(found, t.String())
		}
	}
	return resultOfFindings(found, "of a container that ran", "no layer has files of a runtime directory")
}

// checkConfigTokens looks for a token in every layer, because a file that one
// layer adds and the next removes is still in the image.
func checkConfigTokens(s *inspection) checkResult {
	var found []string
	for _, t := range s.traces {
		if t.secret != "" {
			found = append(found, t.String()+" ("+t.secret+")")
		}
	}
	var names []string
	for _, file := range s.known.ownFiles() {
		names = append(names, path.Base(file))
	}
	return resultOfFindings(found, "build the layer again without", "no layer has an %s with a token", strings.Join(names, " or "))
}

// checkDeviceState looks for paired devices, because a device that was paired at
// build is an operator in every container of the image.
func checkDeviceState(s *inspection) checkResult {
	if s.usersErr != nil {
		return resultUnavailable("see users")
	}
	homes := []string{"/root"}
	for _, u := range s.users {
		homes = append(homes, path.Clean(u.Home))
	}
	var found []string
	for _, t := range s.traces {
		if s.known.isDevice(path.Base(t.path)) && slices.ContainsFunc(homes, func(home string) bool {
			return strings.HasPrefix(t.path, strings.TrimSuffix(home, "/")+"/")
		}) {
			found = append(found, t.String())
		}
	}
	return resultOfFindings(found, "paired devices: build the layer again without", "no layer has paired devices")
}

func checkTokenBytes(s *inspection) checkResult {
	if s.options.Token == nil {
		return resultNotApplicable("no token was given: use --token-stdin")
	}
	return resultOfFindings(s.leaks, "bytes of the token", "no byte of the token in any layer")
}

// checkPlaceholder checks that root owns the gateway's own configuration and
// that no token in it overrides gateway-init's.
func checkPlaceholder(s *inspection) checkResult {
	own := s.profile.own.File
	data, err := s.tree.regular(own)
	if err != nil {
		return resultFailed("%v", err)
	}
	n := s.tree.at(own)
	switch {
	case n.uid != 0:
		return resultFailed("%s is owned by uid %d: chown root it", own, n.uid)
	case n.writable():
		return resultFailed("%s is writable by others (mode %04o): chmod go-w it", own, n.mode)
	case n.links != 1:
		return resultFailed("%s has %d links: copy it, so that it has one name only", own, n.links)
	}
	if err := s.profile.own.Check(data); err != nil {
		return resultFailed("%s:%v", own, err)
	}
	return resultHeld("%s: %s is empty", own, s.profile.own.Token)
}

// checkPin checks that the pinned files are as they were sealed.
func checkPin(s *inspection) checkResult {
	data, err := s.tree.regular(seal.PinFile)
	if err != nil {
		return resultFailed("%v: run gatewayctl config seal", err)
	}
	if v := s.plain(seal.PinFile, 0o644); v.result != Held {
		return v
	}
	pins, err := seal.ParsePins(data)
	if err != nil {
		return resultFailed("%s:%v", seal.PinFile, err)
	}
	if !slices.ContainsFunc(pins, func(p seal.Pin) bool { return p.Path == s.profile.own.File }) {
		return resultFailed("%s does not have %s: run gatewayctl config seal", seal.PinFile, s.profile.own.File)
	}
	for _, p := range pins {
		n := s.tree.at(p.Path)
		switch {
		case n == nil:
			return resultFailed("%.200s is pinned and missing", p.Path)
		case n.sum == "":
			return resultUnavailable("cannot compute the hash of %.200s", p.Path)
		case n.sum != p.SHA256:
			return resultFailed("%.200s was changed after it was sealed: look at it, then run gatewayctl config seal again", p.Path)
		}
	}
	return resultHeld("%d files are as they were sealed", len(pins))
}
