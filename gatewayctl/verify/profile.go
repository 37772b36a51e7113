// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
)

// profile holds the expectations of an image beyond those that all images share.
type profile struct {
	name     string
	order    int
	tokenEnv string // "" for any
	by       recognition
	// hidden means that the gateway's program is execute-only (0711). The kernel
	// then closes the environment of its processes even to their own uid.
	hidden bool
	script bool        // the program is an interpreter; the gateway is its first argument
	bare   bool        // no compilers
	own    seal.Layout // the gateway's own configuration; no File if it has none
	device []string    // names of files with paired devices
}

// recognition holds values that a configuration of the profile's gateway has. ""
// matches any value.
type recognition struct{ program, argument, tokenEnv string }

// fits reports whether the configuration is one of the profile's gateway.
func (p profile) fits(c *config.Config) bool {
	command, by := c.Gateway.Command, p.by
	return (by.program == "" || path.Base(command[0]) == by.program) &&
		(by.argument == "" || slices.ContainsFunc(command, func(arg string) bool { return path.Base(arg) == by.argument })) &&
		(by.tokenEnv == "" || c.Gateway.TokenEnv == by.tokenEnv)
}

// isOwnConfig reports whether base is the name of the own configuration, or may be
// one of a copy, which has more after it.
func (p profile) isOwnConfig(base string) bool {
	own := path.Base(p.own.File)
	return p.own.File != "" && (base == own || strings.HasPrefix(base, own+"."))
}

// Profiles are all profiles, in the order of messages.
type Profiles []profile

// Names returns the names of all profiles.
func (all Profiles) Names() (names []string) {
	for _, p := range all {
		names = append(names, p.name)
	}
	return names
}

// OwnConfig returns the layout of the own configuration at this path. For any other
// path it is that of the first profile that has one.
func (all Profiles) OwnConfig(unsafeFile string) (l seal.Layout) {
	for _, p := range all {
		if p.own.File != "" && (l.File == "" || p.own.File == unsafeFile) {
			l = p.own
		}
	}
	return l
}

// isOwnConfig reports whether base names an own configuration of any gateway. Every
// image is searched for the files of all of them, because its base may have been
// made for another gateway.
func (all Profiles) isOwnConfig(base string) bool {
	return slices.ContainsFunc(all, func(p profile) bool { return p.isOwnConfig(base) })
}

// isDevice reports whether base names a file with paired devices of any gateway.
func (all Profiles) isDevice(base string) bool {
	return slices.ContainsFunc(all, func(p profile) bool { return slices.Contains(p.device, base) })
}

// ownFiles returns the paths of all own configurations.
func (all Profiles) ownFiles() (files []string) {
	for _, p := range all {
		if p.own.File != "" {
			files = append(files, p.own.File)
		}
	}
	return files
}

// tokenNames returns the names of the variables that have a gateway's token.
func (all Profiles) tokenNames() (names []string) {
	for _, p := range all {
		if p.tokenEnv != "" {
			names = append(names, p.tokenEnv)
		}
	}
	return names
}

// secret says which value in an own configuration of this name is a secret, or "".
func (all Profiles) secret(base string, data []byte) string {
	for _, p := range all {
		if p.isOwnConfig(base) {
			if why := p.own.Secret(data); why != "" {
				return why
			}
		}
	}
	return ""
}

// ProfileError means that there is no profile of the given name, or that none
// was given and the image fits none or several.
type ProfileError struct {
	Problem string
	Names   []string // of all profiles
}

func (e *ProfileError) Error() string {
	return fmt.Sprintf("cannot tell which gateway this is: %s: give --profile %s", e.Problem, strings.Join(e.Names, "|"))
}

// choose returns the profile with this name, or the one that the configuration
// fits.
func (all Profiles) choose(name string, c *config.Config, configErr error) (profile, error) {
	if name == "" && configErr != nil {
		return profile{}, &ProfileError{configErr.Error(), all.Names()}
	}
	var fit []profile
	for _, p := range all {
		if name == p.name || name == "" && p.fits(c) {
			fit = append(fit, p)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case name != "":
		return profile{}, &ProfileError{fmt.Sprintf("there is no profile %.40q", name), all.Names()}
	}
	return profile{}, &ProfileError{fmt.Sprintf("gateway.command and gateway.token_env fit %d profiles", len(fit)), all.Names()}
}
