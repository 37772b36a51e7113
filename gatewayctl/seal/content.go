// SPDX-License-Identifier: Apache-2.0

// Package seal keeps the token out of a gateway's own configuration. OpenClaw's
// configuration overrides its environment. A token in openclaw.json is the one
// in force, and "mode": "none" lets every user in. So an image has the empty
// placeholder there, which fails closed, and the hash of the file is pinned
// beside our own configuration.
package seal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// MaxSize bounds a gateway's configuration, in bytes.
const MaxSize = 1 << 20

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

// parse also refuses a text that two readers could read differently. The
// vendor's parser takes JSON5, and a guard must not see another file than that
// parser does.
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

// auth returns gateway.auth, or nil if it, or the object around it, is absent.
func auth(root *strictjson.Value) (gateway, auth *strictjson.Value, err error) {
	at, key := root, ""
	for _, name := range []string{"gateway", "auth"} {
		key += "." + name
		at = at.Get(name)
		if at == nil {
			return gateway, nil, nil
		}
		if at.Kind != strictjson.Object {
			return nil, nil, refuse(at, "%s: is %v, not an object", key[1:], at.Kind)
		}
		if gateway == nil {
			gateway = at
		}
	}
	return gateway, at, nil
}

// checkAuth refuses settings that would make another credential, or none, count.
func checkAuth(auth *strictjson.Value) error {
	if mode := auth.Get("mode"); mode != nil && (mode.Kind != strictjson.String || mode.Str != "token") {
		return refuse(mode, `gateway.auth.mode: is not "token": with any other mode gateway-init's token is not what decides: set it to "token"`)
	}
	if p := auth.Get("password"); p != nil && (p.Kind != strictjson.String || p.Str != "") {
		return refuse(p, "gateway.auth.password: is set: take it out, a password in an image is everybody's")
	}
	return nil
}

// Check refuses data unless it has the empty placeholder and no other setting
// that decides about access. The error is a *ContentError.
func Check(data []byte) error {
	root, err := parse(data)
	if err != nil {
		return err
	}
	_, auth, err := auth(root)
	switch {
	case err != nil:
		return err
	case auth == nil || auth.Get("token") == nil:
		return refuse(root, `gateway.auth.token: is missing: without "" there the gateway may start with a token of its own: run gatewayctl config seal`)
	}
	if token := auth.Get("token"); token.Kind != strictjson.String || token.Str != "" {
		return refuse(token, `gateway.auth.token: is not "": it would beat gateway-init's token: run gatewayctl config seal`)
	}
	return checkAuth(auth)
}

// Secret says which value in data is, or may be, a secret; "" if none is. A
// reference to a secret elsewhere is an object, and is not a secret.
func Secret(data []byte) string {
	root, err := parse(data)
	if err != nil {
		return "it is not strict JSON, so nobody can say that it has no token"
	}
	_, auth, err := auth(root)
	if err != nil || auth == nil {
		return ""
	}
	for _, name := range []string{"token", "password"} {
		if v := auth.Get(name); v != nil && v.Kind == strictjson.String && v.Str != "" {
			return "gateway.auth." + name + " is set"
		}
	}
	return ""
}

// Clear returns data with an empty gateway.auth.token. Every other byte is as it
// was, so that a person's layout and a vendor's keys stay. The error is a
// *ContentError.
func Clear(data []byte) ([]byte, error) {
	root, err := parse(data)
	if err != nil {
		return nil, err
	}
	gateway, auth, err := auth(root)
	switch {
	case err != nil:
		return nil, err
	case gateway == nil:
		return insert(data, root, `"gateway": {"auth": {"token": ""}}`), nil
	case auth == nil:
		return insert(data, gateway, `"auth": {"token": ""}`), nil
	}
	if err := checkAuth(auth); err != nil {
		return nil, err
	}
	token := auth.Get("token")
	switch {
	case token == nil:
		return insert(data, auth, `"token": ""`), nil
	case token.Kind == strictjson.String && token.Str == "":
		return data, nil
	}
	return splice(data, token.Start, token.End, `""`), nil
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
