// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const tokenName = "OPENCLAW_GATEWAY_TOKEN"

// scanText returns the lines on which a name gets a value that counts. It writes the
// text in parts of size bytes.
func scanText(unsafePath, text string, size int, names ...string) (found []string) {
	s := textScan{names: names, found: func(name string, line int) { found = append(found, fmt.Sprintf("%s:%d", name, line)) }}
	s.lenient, s.code = isLenient(unsafePath)
	for len(text) > 0 {
		part := text[:min(size, len(text))]
		_, _ = s.Write([]byte(part))
		text = text[len(part):]
	}
	s.end()
	return found
}

// TestAssignmentForms checks the forms in which shells, service managers and data
// formats give a variable a value.
func TestAssignmentForms(t *testing.T) {
	for _, line := range []string{
		"NAME=s3cret", "export NAME=s3cret", "export NAME='s3cret'", `NAME="s3cret" openclaw tui`, "declare -x NAME=s3cret", "FOO=1 NAME=s3cret BAR=2", "  NAME=s3cret\r",
		"env NAME=s3cret program", "# NAME=s3cret", "alias x='NAME=s3cret y'", `: "${NAME:=s3cret}"`, `x "${NAME:-s3cret}"`, `x ${NAME-s3cret}`, "NAME+=s3cret",
		"setenv NAME s3cret", "setenv NAME 's3cret'", "set -x NAME s3cret", "set -gx NAME s3cret", "set --global --export NAME s3cret", "launchctl setenv NAME s3cret",
		"Environment=NAME=s3cret", `Environment="NAME=s3cret" "B=c"`, "environment=NAME=\"s3cret\",B=\"c\"", "NAME DEFAULT=s3cret", "NAME\tOVERRIDE=s3cret",
		"ENV NAME s3cret", "ENV NAME=s3cret", "ARG NAME=s3cret", "SetEnv NAME s3cret", "      - NAME=s3cret", "      NAME: s3cret", "      NAME: s3cret # mine",
		`"NAME": "s3cret"`, `{"a":1,"NAME":"s3cret"}`, `{\"NAME\":\"s3cret\"}`, `'NAME': 's3cret'`, `NAME: "s3cret"`, "{NAME: s3cret, B: c}", `NAME = "s3cret"`,
		"NAME = 's3cret'", "NAME = s3cret", "NAME := s3cret", "NAME ?= s3cret", `"NAME" => "s3cret"`, `environ["NAME"] = "s3cret"`, `$env:NAME = "s3cret"`,
		`process.env.NAME = "s3cret"`, "curl 'http://x/?NAME=s3cret&a=b'", "NAME=correct-horse-battery", "NAME=pa$", "NAME=1",
	} {
		for _, name := range []string{tokenName, "API_SERVER_KEY"} {
			text := "first\n" + strings.ReplaceAll(line, "NAME", name) + "\nlast\n"
			for size := 1; size <= len(text); size += 3 {
				if got := scanText("/etc/profile.d/gateway.sh", text, size); !slices.Equal(got, []string{name + ":2"}) {
					t.Fatalf("%q in parts of %d: found %v", line, size, got)
				}
			}
		}
	}
}

// TestTextWithoutAssignment checks texts that have the name and give it no value, or
// one that stands for another.
func TestTextWithoutAssignment(t *testing.T) {
	for _, line := range []string{
		"NAME=", "export NAME", "export NAME=''", `NAME=""`, "NAME= program", "unset NAME", "echo $NAME", "echo ${NAME}", `NAME="$NAME"`, "NAME=$OTHER", "NAME=${OTHER}",
		"NAME=$(openssl rand -hex 32)", "NAME=`cat /run/token`", "NAME=$1", `NAME="$(cat /run/token)"`, "${NAME:-}", "${NAME:-$OTHER}", "${NAME:?not set}", "${NAME:+s3cret}",
		"[ \"$NAME\" = s3cret ]", "if NAME == s3cret", "NAME != s3cret", "NAME =~ s3cret", "NAME=<gateway-token>", `NAME="<token>"`, "NAME=your-token", "NAME=YOUR_TOKEN_HERE",
		"NAME=changeme", "NAME=change-me", "NAME=replace-with-a-secret", "NAME=xxxx", "NAME=...", "NAME=********", "NAME=gateway-token", "NAME=my-secret", "NAME=example",
		"NAME={{ token }}", "NAME: {{ token }}", "NAME=%TOKEN%", "NAME=@TOKEN@", "NAME: !vault |", "NAME: |", "NAME: *anchor", "NAME:", "NAME: the token of the gateway",
		"SECOND_NAME=", "NAMES=s3cret", "MY_NAME=s3cret", "NAMEs3cret", "http://NAME:80/s3cret", "NAME::s3cret", `["NAME", "s3cret"]`, "token_env: NAME", `"token_env": "NAME",`,
		"pass_env NAME s3cret", "set NAME", "setenv NAME", "setenv NAME $OTHER", "NAME DEFAULT=${OTHER}", "read NAME s3cret", "NAME=0000000000000000000000000000000000000000",
	} {
		text := strings.ReplaceAll(line, "NAME", tokenName) + "\n"
		if got := scanText("/etc/profile", text, 1000); len(got) > 0 && slices.Contains(got, tokenName+":1") {
			t.Errorf("%q: found %v", line, got)
		}
	}
}

// TestExamplesInPackages checks that in code and documents only a value counts that
// looks as if a program made it. A package has many examples.
func TestExamplesInPackages(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	generated := []string{hex, hex[:32], "q3Jd0sVYbJx3mXfG1hUuZQ+8/w==", "8c7ad1f0-3e1b-4f64-9b0a-0d2c5b6a7e11", "oc_9f86d081884c7d65"}
	examples := []string{"file", "s3cret", "your-token-with-32-or-more-digits", "test-token-1", "gatewayToken", "hunter2", "CHANGE_ME_TO_A_64_DIGIT_VALUE"}
	for _, unsafePath := range []string{
		"/opt/app/node_modules/x/.env", "/usr/local/lib/node_modules/openclaw/docs/node-host.md", "/usr/share/doc/x/README", "/opt/venv/lib/python3.12/site-packages/x/conf",
		"/srv/README.md", "/srv/notes.txt", "/app/.env.example", "/app/config.sample", "/app/server.mjs", "/app/run.py",
	} {
		for _, form := range []string{"NAME=%q", "export NAME='%s'", `"NAME": "%s",`, "NAME: %q"} {
			form = strings.ReplaceAll(form, "NAME", tokenName)
			for _, value := range generated {
				if got := scanText(unsafePath, fmt.Sprintf(form, value), 1000); len(got) != 1 {
					t.Errorf("%s: %s of %q is not found", unsafePath, form, value)
				}
			}
			for _, value := range examples {
				if got := scanText(unsafePath, fmt.Sprintf(form, value), 1000); len(got) != 0 {
					t.Errorf("%s: %s of %q is an example: found %v", unsafePath, form, value, got)
				}
			}
		}
	}
	// In code a value without quotes is a name or a call.
	for _, line := range []string{"NAME: crypto.randomBytes16Hex,", "NAME = randomToken2048x1;", "NAME: params.token2Of3Gateways"} {
		if got := scanText("/app/x.ts", strings.ReplaceAll(line, "NAME", tokenName), 1000); len(got) != 0 {
			t.Errorf("%s: found %v", line, got)
		}
	}
	if got := scanText("/app/x.sh", tokenName+"="+examples[1], 1000); len(got) != 1 {
		t.Errorf("the control is not found")
	}
}

// TestTextIsDecidedByItsBeginning checks that a file with a NUL in its first 8 KiB is no
// text, and that a later NUL changes nothing.
func TestTextIsDecidedByItsBeginning(t *testing.T) {
	line := "\n" + tokenName + "=s3cret\n"
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"nul-first":  {"\x00" + line, 0},
		"nul-behind": {line + strings.Repeat(" ", 8000) + "\x00", 0},
		"nul-later":  {line + strings.Repeat(" ", 9000) + "\x00", 1},
		"behind-it":  {strings.Repeat("x", 9000) + "\x00" + line, 1},
		"far-behind": {strings.Repeat("x\n", 500000) + line, 1},
		"long-line":  {strings.Repeat("x", 500000) + " " + tokenName + "=s3cret", 1},
		"no-end":     {line[:len(line)-1], 1},
		"empty":      {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 4096, 100} {
				got := scanText("/x", c.text, size)
				if len(got) != c.want {
					t.Errorf("in parts of %d: found %v", size, got)
				}
				at := strings.Index(c.text, tokenName)
				if want := fmt.Sprintf("%s:%d", tokenName, 1+strings.Count(c.text[:max(at, 0)], "\n")); c.want > 0 && got[0] != want {
					t.Errorf("in parts of %d: found %v, want %s", size, got, want)
				}
			}
		})
	}
}

// TestTextScanTakesLinearTime checks that a text made to cost time does not.
func TestTextScanTakesLinearTime(t *testing.T) {
	for name, text := range map[string]string{
		"one-name":  strings.Repeat("KEY", 1<<20),
		"names":     strings.Repeat("A_KEY=s3cret\n", 1<<18),
		"words":     strings.Repeat("set -x ", 1<<18) + tokenName,
		"operators": strings.Repeat(tokenName+"=${"+tokenName+":-", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			if got := scanText("/x", text, 32<<10); name == "names" && len(got) != 1<<18 {
				t.Errorf("found %d", len(got))
			}
		})
	}
}

// TestSearchedNames checks which names are searched without being known before.
func TestSearchedNames(t *testing.T) {
	for name, want := range map[string]bool{
		"MY_TOKEN": true, "API_SERVER_KEY": true, "A_SECRET_B": true, "DB_PASSWORD": true, "X2_AUTH": true, "CREDENTIAL": true, "my_token": false, "GATEWAY": false, "": false,
	} {
		if hasSecretWord(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	text := "my_gateway=s3cret\nOTHER=s3cret\nMY_TOKEN=s3cret\n"
	if got := scanText("/x", text, 10, "my_gateway"); !slices.Equal(got, []string{"my_gateway:1", "MY_TOKEN:3"}) {
		t.Errorf("found %v", got)
	}
}

// FuzzTextScan checks that the result does not depend on how the writes cut the text,
// and that each finding is on a line with its name.
func FuzzTextScan(f *testing.F) {
	for _, text := range []string{"export " + tokenName + "=s3cret", `{"` + tokenName + `": "x"}`, "${A_KEY:-b}", "set -gx A_TOKEN b", "\x00A_KEY=b", "A_KEY = 'b\nc'"} {
		f.Add(text, 3, true)
	}
	f.Fuzz(func(t *testing.T, text string, size int, code bool) {
		unsafePath := map[bool]string{true: "/x.js", false: "/x"}[code]
		text = text + strings.Repeat(" \n", 40<<10) + text // more than a window
		want := scanText(unsafePath, text, 1<<30)
		if got := scanText(unsafePath, text, 1+max(size, -size, 0)%(64<<10)); !slices.Equal(got, want) {
			t.Fatalf("found %v and %v", got, want)
		}
		lines := strings.Split(text, "\n")
		for _, place := range want {
			name, number, _ := strings.Cut(place, ":")
			line := 0
			if _, err := fmt.Sscan(number, &line); err != nil || line < 1 || line > len(lines) || !strings.Contains(lines[line-1], name) {
				t.Fatalf("%s is not there", place)
			}
		}
	})
}
