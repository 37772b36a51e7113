// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"path"
	"slices"
	"strings"
)

// noConfig reports whether the source has no image config. A directory has none.
func (s *inspection) noConfig() bool { return s.image.config == nil }

func resultOnlyImage() checkResult {
	return resultNotApplicable("a directory has no image config: use --image or --archive")
}

func checkEntrypoint(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	if e := s.image.config.Config.Entrypoint; !slices.Equal(e, []string{initPath}) {
		return resultFailed("it is %.200q, not [%q]", e, initPath)
	}
	return resultHeld("%s", initPath)
}

// checkImageUser checks that the image starts as root, because gateway-init
// separates users only as root. An image for containers without root may have
// another user.
func checkImageUser(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	u := s.image.config.Config.User
	if root := slices.Contains([]string{"", "0", "root", "0:0", "root:root"}, u); !root && !s.options.NonRoot {
		return resultFailed("it is %.80q: take USER out, gateway-init starts as root and gives it up", u)
	}
	return resultHeld("%.80q", u)
}

func checkHealth(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	const line = `HEALTHCHECK --start-period=120s CMD ["` + ctlPath + `", "health"]`
	h := s.image.config.Config.Healthcheck
	switch {
	case h == nil:
		return resultFailed("the image has no HEALTHCHECK: write %s (podman: build with --format docker)", line)
	case slices.Equal(h.Test, []string{"CMD", path.Base(ctlPath), "health"}):
		return resultFailed("it is found by PATH, as root: write %s", line)
	case !slices.Equal(h.Test, []string{"CMD", ctlPath, "health"}):
		return resultFailed("it is %.200q: write %s", h.Test, line)
	}
	return resultHeld("%s health", ctlPath)
}

func checkStopSignal(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	sig := s.image.config.Config.StopSignal
	if !slices.Contains([]string{"", "SIGTERM", "TERM", "15"}, sig) {
		return resultFailed("it is %.40q: take STOPSIGNAL out, gateway-init stops the gateway with the signal of its own configuration", sig)
	}
	return resultHeld("SIGTERM")
}

// tokenEnv returns the name of the variable that has the token.
func (s *inspection) tokenEnv() string {
	if s.config != nil {
		return s.config.Gateway.TokenEnv
	}
	return s.profile.tokenEnv
}

// checkEnvironment checks the variables of the image, because they are in every
// container and in docker inspect. Even an empty variable with the token's name
// overrides the value that its author meant.
func checkEnvironment(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	var bad []string
	for _, kv := range s.image.config.Config.Env {
		name, _, _ := strings.Cut(kv, "=")
		if name == s.tokenEnv() || hasSecret(kv) {
			bad = append(bad, name) // never the value
		}
	}
	return resultOfFindings(bad, "take out of ENV", "%d variables, none is a token", len(s.image.config.Config.Env))
}

// checkHistory checks RUN lines, labels and build arguments, because they are
// kept as text.
func checkHistory(s *inspection) checkResult {
	if s.noConfig() {
		return resultOnlyImage()
	}
	if s.tokenEnv() == "" {
		return resultUnavailable("see config")
	}
	assignment := s.tokenEnv() + "="
	var bad []string
	for _, text := range s.image.config.texts {
		switch _, value, given := strings.Cut(text, assignment); {
		case given && strings.TrimLeft(value, `"' `) != "":
			bad = append(bad, assignment+"...")
		case hasSecret(text):
			bad = append(bad, "64 hex digits after the name of a secret")
		}
	}
	return resultOfFindings(bad, "build it again without", "%d texts, none has a token", len(s.image.config.texts))
}

// hasSecret reports whether text has 64 hex digits after the name of a secret,
// as in TOKEN=..., "api_key": "...", --password ... A digest has "sha256:"
// before it.
func hasSecret(text string) bool {
	const digits = 64
	run := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && isHex(text[i]) {
			run++
			continue
		}
		if run == digits && secretName(text[:i-run]) {
			return true
		}
		run = 0
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// secretName reports whether the last word of text names a secret.
func secretName(text string) bool {
	text = strings.TrimRight(text, ` "'=:`)
	word := strings.ToLower(text[strings.LastIndexAny(text, " \t\"'=:,;/")+1:])
	return slices.ContainsFunc([]string{"token", "secret", "passw", "key", "auth", "credential", "bearer"}, func(part string) bool {
		return strings.Contains(word, part)
	})
}
