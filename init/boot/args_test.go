// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/config"
)

// TestParseArgs checks that no option of the command is taken for ours. An init that
// took its --help or its -- ran another program than was asked for.
func TestParseArgs(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		want settings
	}{
		"nothing":              {"", settings{}},
		"command":              {"sh -c x", settings{command: []string{"sh", "-c", "x"}}},
		"dashes":               {"-- sh", settings{command: []string{"sh"}}},
		"only-dashes":          {"--", settings{}},
		"options-of-command":   {"sh --config x --version --", settings{command: []string{"sh", "--config", "x", "--version", "--"}}},
		"dashes-of-command":    {"-- --version", settings{command: []string{"--version"}}},
		"dashes-twice":         {"-- -- x", settings{command: []string{"--", "x"}}},
		"command-with-equals":  {"a=b c", settings{command: []string{"a=b", "c"}}},
		"a-dash":               {"- x", settings{command: []string{"-", "x"}}},
		"config":               {"--config f sh", settings{config: "f", given: true, command: []string{"sh"}}},
		"config-joined":        {"--config=f=g sh", settings{config: "f=g", given: true, command: []string{"sh"}}},
		"config-last-wins":     {"--config f --config g", settings{config: "g", given: true}},
		"config-like-option":   {"--config --version", settings{config: "--version", given: true}},
		"no-gateway":           {"--no-gateway sh", settings{noGateway: true, command: []string{"sh"}}},
		"check":                {"--check-config", settings{mode: checkMode}},
		"check-file":           {"--check-config f", settings{mode: checkMode, config: "f"}},
		"check-joined":         {"--check-config=f", settings{mode: checkMode, config: "f"}},
		"check-before-option":  {"--check-config --config f", settings{mode: checkMode, config: "f", given: true}},
		"version":              {"--version", settings{mode: versionMode}},
		"help":                 {"--help", settings{mode: helpMode}},
		"help-short":           {"-h", settings{mode: helpMode}},
		"help-without-command": {"--no-gateway --help", settings{mode: helpMode, noGateway: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.config == "" {
				c.want.config = config.DefaultFile
			}
			got, err := parseArgs(strings.Fields(c.args))
			if err != nil || got.mode != c.want.mode || got.config != c.want.config || got.given != c.want.given ||
				got.noGateway != c.want.noGateway || !slices.Equal(got.command, c.want.command) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// TestParseArgsRefuses checks that a mistake ends boot and is never taken for the
// command. The value after = may be a secret, and is not repeated.
func TestParseArgsRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown":               {"--gateway"},
		"unknown-short":         {"-x"},
		"unknown-with-value":    {"--token=s3cret"},
		"config-without-file":   {"--config"},
		"config-empty":          {"--config", ""},
		"config-joined-empty":   {"--config="},
		"no-gateway-no-command": {"--no-gateway"},
		"no-gateway-dashes":     {"--no-gateway", "--"},
		"no-gateway-value":      {"--no-gateway=s3cret", "sh"},
		"version-value":         {"--version=s3cret"},
		"check-and-command":     {"--check-config", "f", "sh"},
		"check-and-dashes":      {"--check-config", "--", "sh"},
		"empty-command":         {""},
		"empty-after-dashes":    {"--", "", "x"},
		"dashes-value":          {"--=s3cret", "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parseArgs(args)
			if err == nil {
				t.Fatalf("accepted as %+v", s)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %q", err)
			}
		})
	}
}

func TestParseArgsSuggests(t *testing.T) {
	_, err := parseArgs([]string{"--no-gatway", "sh"})
	if want := `unknown option "--no-gatway": did you mean --no-gateway?`; err == nil || err.Error() != want {
		t.Errorf("says %v, want %s", err, want)
	}
	const there = ": it is for images without /etc/gateway-init: leave it out"
	for args, want := range map[string]string{
		"--user app sh": there + ", and write sandbox.user into", "--user=app": there + ", and write sandbox.user into",
		"--grace 5": there + ", and write gateway.stop.grace into", "-g sh": there,
		"-it sh": `"-it": an option of the engine stands before the image`, "-v": there + "; an option of the engine stands before the image",
	} {
		if _, err := parseArgs(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: says %v, want %s", args, err, want)
		}
	}
	for _, option := range options {
		if !strings.Contains(usage, option) {
			t.Errorf("the usage does not name %s", option)
		}
	}
}

// TestUsage checks that the usage has every option.
func TestUsage(t *testing.T) {
	for _, option := range []string{"--config FILE", "--no-gateway", "--check-config [FILE]", "--version", "--help", config.DefaultFile} {
		if !strings.Contains(usage, option) {
			t.Errorf("the usage does not name %s", option)
		}
	}
}

// FuzzParseArgs checks that the command is the unchanged end of the line. The words
// before it, parsed alone, must give the same settings.
func FuzzParseArgs(f *testing.F) {
	for _, s := range []string{"", "sh\n-c", "--config\nf\n--\n--version", "--check-config\nf", "--=x\ny", "--no-gateway\na"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		s, err := parseArgs(args)
		if err != nil {
			return
		}
		n := len(args) - len(s.command)
		if n < 0 || !slices.Equal(args[n:], s.command) {
			t.Fatalf("%q became %+v", args, s)
		}
		if s.noGateway && s.mode == runMode && len(s.command) == 0 {
			t.Fatalf("%q leaves nothing to run", args)
		}
		again, err := parseArgs(append(slices.Clone(args[:n]), "x"))
		if s.mode == checkMode || n > 0 && args[n-1] == "--" {
			return // without a command, or with "x" as a word of the same command
		}
		if err != nil || again.mode != s.mode || again.config != s.config || again.noGateway != s.noGateway || again.given != s.given {
			t.Fatalf("%q: %+v, with another command %+v, %v", args, s, again, err)
		}
	})
}
