// SPDX-License-Identifier: Apache-2.0

// Package seal keeps the token out of a gateway's own configuration, which may
// override its environment. A token there would be the one in force, and another
// mode may let every user in. So an image has the empty placeholder there, which
// fails closed, and the hash of the file is pinned beside our own configuration.
package seal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// MaxSize bounds a gateway's configuration, in bytes.
const MaxSize = 1 << 20

// Layout describes the own configuration of a gateway. A key such as
// gateway.auth.token has the names of the objects around the value, and its own.
type Layout struct {
	File      string   // where an image has it
	Token     string   // the key that must be the empty placeholder
	Mode      string   // the key that decides which credential counts; "" if there is none
	ModeValue string   // the value that Mode must have if it is there
	Password  string   // the key of another credential, which must be empty; "" if there is none
	Backups   []string // a backup has the name of the file, one of these after it, and maybe more
}

// ContentError says why a configuration is refused, with the place and the
// remedy.
type ContentError struct {
	Line, Col int
	Problem   string
}

func (e *ContentError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Problem) }

func refuse(v *strictjson.Value, format string, args ...any) error {
	return &ContentError{v.Line, v.Col, fmt.Sprintf(format, args...)}
}

// parse also refuses a text that two readers could read differently. The vendor's
// parser takes JSON5, and a guard must see the same file as that parser.
func parse(data []byte) (*strictjson.Value, error) {
	root, err := strictjson.Parse(data)
	var se *strictjson.SyntaxError
	if errors.As(err, &se) {
		return nil, &ContentError{se.Line, se.Col, se.Msg + ": it must be strict JSON: take out what JSON5 adds (comments, trailing commas, single quotes, bare keys)"}
	}
	if root.Kind != strictjson.Object {
		return nil, refuse(root, "is %v, not an object", root.Kind)
	}
	return root, nil
}

// find returns the value of a key such as gateway.auth.token. If there is none, it
// returns nil, the innermost object that is there, and the names that are missing
// in it.
func find(root *strictjson.Value, key string) (v, inner *strictjson.Value, missing []string, err error) {
	names := strings.Split(key, ".")
	inner = root
	for i, name := range names {
		v = inner.Get(name)
		if v == nil {
			return nil, inner, names[i:], nil
		}
		if i == len(names)-1 {
			break
		}
		if v.Kind != strictjson.Object {
			return nil, nil, nil, refuse(v, "%s: is %v, not an object", strings.Join(names[:i+1], "."), v.Kind)
		}
		inner = v
	}
	return v, inner, nil, nil
}

// get returns the value of a key, or nil if there is none, or no such key.
func get(root *strictjson.Value, key string) (*strictjson.Value, error) {
	if key == "" {
		return nil, nil
	}
	v, _, _, err := find(root, key)
	return v, err
}

func isText(v *strictjson.Value, text string) bool {
	return v.Kind == strictjson.String && v.Str == text
}

// checkAccess refuses settings that would make another credential, or none, count.
func (l Layout) checkAccess(root *strictjson.Value) error {
	mode, err := get(root, l.Mode)
	if err != nil {
		return err
	}
	if mode != nil && !isText(mode, l.ModeValue) {
		return refuse(mode, "%s: is not %q: with any other mode gateway-init's token is not what decides: set it to %q", l.Mode, l.ModeValue, l.ModeValue)
	}
	password, err := get(root, l.Password)
	if err != nil {
		return err
	}
	if password != nil && !isText(password, "") {
		return refuse(password, "%s: is set: take it out, a password in an image is everybody's", l.Password)
	}
	return nil
}

// Check refuses data unless it has the empty placeholder and no other setting
// that decides about access. The error is a *ContentError.
func (l Layout) Check(data []byte) error {
	root, err := parse(data)
	if err != nil {
		return err
	}
	token, err := get(root, l.Token)
	switch {
	case err != nil:
		return err
	case token == nil:
		return refuse(root, `%s: is missing: without "" there the gateway may start with a token of its own: run gatewayctl config seal`, l.Token)
	case !isText(token, ""):
		return refuse(token, `%s: is not "": it would beat gateway-init's token: run gatewayctl config seal`, l.Token)
	}
	return l.checkAccess(root)
}

// Secret says which value in data is, or may be, a secret; "" if none is. A
// reference to a secret elsewhere is an object, and is not a secret.
func (l Layout) Secret(data []byte) string {
	root, err := parse(data)
	if err != nil {
		return "it is not strict JSON, so it may hold a token"
	}
	for _, key := range []string{l.Token, l.Password} {
		if v, err := get(root, key); err == nil && v != nil && v.Kind == strictjson.String && v.Str != "" {
			return key + " is set"
		}
	}
	return ""
}

// clearToken returns data with an empty token. Every other byte is as it was, so that a
// person's layout and a vendor's keys stay. The error is a *ContentError.
func (l Layout) clearToken(data []byte) ([]byte, error) {
	root, err := parse(data)
	if err != nil {
		return nil, err
	}
	token, inner, missing, err := find(root, l.Token)
	if err != nil {
		return nil, err
	}
	if err := l.checkAccess(root); err != nil {
		return nil, err
	}
	switch {
	case token == nil:
		return insert(data, inner, placeholder(missing)), nil
	case isText(token, ""):
		return data, nil
	}
	return splice(data, token.Start, token.End, `""`), nil
}

// placeholder returns the member for the missing names: nested objects, and the
// empty token in the innermost.
func placeholder(missing []string) string {
	text := `""`
	for i, name := range slices.Backward(missing) {
		if text = fmt.Sprintf("%q: %s", name, text); i > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}

// insert puts a member first into an object, with the white space of the member
// that was first.
func insert(data []byte, object *strictjson.Value, member string) []byte {
	at := object.Start + 1
	rest := string(data[at:object.End])
	space := rest[:len(rest)-len(strings.TrimLeft(rest, " \t\r\n"))]
	if len(object.Members) > 0 {
		member += ","
	}
	return splice(data, at, at, space+member)
}

func splice(data []byte, from, to int, text string) []byte {
	out := append([]byte(nil), data[:from]...)
	out = append(out, text...)
	return append(out, data[to:]...)
}
