// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
)

// tokenNames returns the names of the variables with which the gateway and sidecars
// get the token.
func tokenNames(c *config.Config) []string {
	names := []string{c.Gateway.TokenEnv}
	for _, s := range c.Sidecars {
		if s.TokenEnv != "" {
			names = append(names, s.TokenEnv)
		}
	}
	return names
}

// checkAssignments looks for a value of the token's variable in the texts of every
// layer, such as a shell's profile. A person who has the image has the value, and a
// shell or a program that reads the file uses it in place of the token in force.
func checkAssignments(s *inspection) checkResult {
	names := s.known.tokenNames()
	if s.config != nil {
		names = append(names, tokenNames(s.config)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var found, unsearched []string
	more := 0
	for _, name := range names {
		if at := s.assigned[name]; at != nil {
			for _, place := range at.first {
				found = append(found, place+" ("+name+")")
			}
			more += at.more
		}
		if !s.searched(name) {
			unsearched = append(unsearched, name)
		}
	}
	switch {
	case len(found) > 0:
		return resultFailed("a variable of the token has a value: build the layer again without: %s", joinPlaces(found, more))
	case len(unsearched) > 0:
		return resultNote("an archive is not searched for %s, because the name has none of %s: use --root in the build",
			joinFew(unsearched), strings.Join(secretWords(), ", "))
	}
	return resultHeld("no text gives %s a value", strings.Join(names, " or "))
}

// searched reports whether the texts were searched for a name.
func (s *inspection) searched(name string) bool {
	return hasSecretWord(name) || slices.Contains(s.names, name)
}
