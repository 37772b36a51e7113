// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/config"
)

// profile holds the expectations of an image beyond those that all images share.
type profile struct {
	name     string
	tokenEnv string // "" for any
	// hidden means that the gateway's program is execute-only (0711). The kernel
	// then closes the environment of its processes even to their own uid.
	hidden bool
	script bool   // the program is an interpreter; the gateway is its first argument
	own    string // the gateway's own configuration, with the empty placeholder; "" if none
	bare   bool   // no compilers
	is     func(*config.Config) bool
}

// profiles returns all profiles.
func profiles() []profile {
	return []profile{
		{name: "openclaw", tokenEnv: "OPENCLAW_GATEWAY_TOKEN", hidden: true, script: true, own: "/etc/openclaw/openclaw.json", bare: true,
			is: func(c *config.Config) bool {
				return slices.ContainsFunc(c.Gateway.Command, func(arg string) bool { return path.Base(arg) == "openclaw.mjs" })
			}},
		{name: "hermes", tokenEnv: "API_SERVER_KEY",
			is: func(c *config.Config) bool { return c.Gateway.TokenEnv == "API_SERVER_KEY" }},
		{name: "demo",
			is: func(c *config.Config) bool { return path.Base(c.Gateway.Command[0]) == "demogateway" }},
	}
}

// Profiles returns the names of all profiles.
func Profiles() (names []string) {
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}

// OwnConfig returns the path of the own configuration of the profile's gateway.
// It returns "" if the gateway has none, or there is no such profile.
func OwnConfig(name string) string {
	for _, p := range profiles() {
		if p.name == name {
			return p.own
		}
	}
	return ""
}

// ProfileError means that there is no profile of the given name, or that none
// was given and the image fits none or several.
type ProfileError struct{ Problem string }

func (e *ProfileError) Error() string {
	return fmt.Sprintf("cannot tell which gateway this is: %s: give --profile %s", e.Problem, strings.Join(Profiles(), "|"))
}

// choose returns the profile with this name, or the one that the configuration
// fits.
func choose(name string, c *config.Config, configErr error) (profile, error) {
	if name == "" && configErr != nil {
		return profile{}, &ProfileError{configErr.Error()}
	}
	var fit []profile
	for _, p := range profiles() {
		if name == p.name || name == "" && p.is(c) {
			fit = append(fit, p)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case name != "":
		return profile{}, &ProfileError{fmt.Sprintf("there is no profile %.40q", name)}
	}
	return profile{}, &ProfileError{fmt.Sprintf("gateway.command and gateway.token_env fit %d profiles", len(fit))}
}
