// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// word is the field of a text of some form.
type word struct {
	to *string
	*form
}

// form has the rules of a text, which also has no control character.
type form struct {
	most              int // bytes
	accepted, problem string
	valid             func(string) bool // else it has the problem
}

func (f *word) read(d *decoder, n node) {
	if *f.to = d.text(n, f.most); !f.valid(*f.to) {
		d.fail(n, "%.64q %s", *f.to, f.problem)
	}
}

// show prints nothing for an empty text of a form that does not accept it.
func (f *word) show(int) string {
	if !f.valid(*f.to) {
		return ""
	}
	return quoteJSON(*f.to)
}

func (f *word) manual() (kind, accepted string) { return "string", f.accepted }

// text returns a string of at most most bytes without control characters.
func (d *decoder) text(n node, most int) string {
	if !d.is(n, strictjson.String) {
		return ""
	}
	if len(n.Str) > most {
		d.fail(n, "is %d bytes long (accepted: at most %d)", len(n.Str), most)
	}
	if strings.ContainsFunc(n.Str, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.fail(n, "%.64q holds a control character", n.Str)
	}
	return n.Str
}

// The accepted values, for errors and for the manual.
const (
	userForms  = "NAME, NAME:GROUP, UID or UID:GID"
	envLetters = "letters, digits and _, no digit first"
	cleanPath  = "an absolute path without //, . and .."
	urlPath    = "/ and printable ASCII without spaces"
	nameChars  = "a-z, 0-9 and -"
	notOrigins = "not init, gateway or command" // origins of log lines
	octalModes = `"0000" to "0755", not writable by group or others`
)

// The forms of texts.
var (
	userForm    = form{128, userForms + "; not root", "is not a user (accepted: " + userForms + ")", validUser}
	envName     = form{256, envLetters + "; no loader variable", "is not a variable's name (accepted: " + envLetters + ")", validEnvName}
	filePath    = form{1024, cleanPath, "is not " + cleanPath, validFilePath}
	requestPath = form{1024, urlPath, "is not a request path (accepted: " + urlPath + ")", validRequestPath}
	sidecarName = form{maxName, "1 to 32 of " + nameChars + ", " + notOrigins,
		"is no name for a sidecar (accepted: " + nameChars + ", " + notOrigins + ")", validSidecarName}
	pendingText = form{60, "1 to 60 bytes, printable, no space at the ends", "is empty, begins or ends with a space, or holds a character that cannot be printed", validPending}
	bodyText    = form{4096, "at most 4096 bytes, no control character", "", func(string) bool { return true }}
)

// validUser reports whether s has the form of a user. Package users checks it
// against the user database later.
func validUser(s string) bool {
	name, group, hasGroup := strings.Cut(s, ":")
	return name != "" && (group != "" || !hasGroup) && !strings.ContainsAny(name+group, ": ")
}

func validPending(s string) bool {
	return s != "" && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

func validEnvName(s string) bool {
	for i, c := range s {
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// validFilePath reports whether s is an absolute path that is clean, because it is
// walked name by name.
func validFilePath(s string) bool { return path.IsAbs(s) && path.Clean(s) == s }

// validRequestPath reports whether s can go into a request line unchanged.
func validRequestPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func validSidecarName(s string) bool {
	return plainName(s) && !slices.Contains([]string{"init", "gateway", "command"}, s)
}

const maxName = 32 // of a sidecar, of a client

func plainName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// choice is the field of one of some words. They are joined with ", ".
type choice struct {
	to    *string
	words string
}

func (f *choice) read(d *decoder, n node) {
	if d.is(n, strictjson.String) && !slices.Contains(strings.Split(f.words, ", "), n.Str) {
		d.fail(n, "%.64q is unknown (accepted: %s)", n.Str, f.words)
	}
	*f.to = n.Str
}

func (f *choice) show(int) string                 { return quoteJSON(*f.to) }
func (f *choice) manual() (kind, accepted string) { return "string", f.words }

// mode is the field of four octal digits. It refuses a directory that others could
// write, because they could plant files there that the gateway then opens.
type mode uint32

func (f *mode) read(d *decoder, n node) {
	v, err := strconv.ParseUint(n.Str, 8, 32)
	if d.is(n, strictjson.String) && (err != nil || len(n.Str) != 4 || v > 0o777 || v&0o022 != 0) {
		d.fail(n, "%.64q is not a mode (accepted: %s)", n.Str, octalModes)
	}
	*f = mode(v)
}

func (f *mode) show(int) string                 { return fmt.Sprintf(`"%04o"`, uint32(*f)) }
func (f *mode) manual() (kind, accepted string) { return "string", octalModes }
