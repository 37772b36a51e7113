// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestClear checks that only the bytes of the token change.
func TestClear(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"already":          {`{"gateway":{"auth":{"token":""}}}`, `{"gateway":{"auth":{"token":""}}}`},
		"token":            {`{"gateway": {"auth": {"mode":"token", "token" : "s\u0065cret" , "x":1}}}`, `{"gateway": {"auth": {"mode":"token", "token" : "" , "x":1}}}`},
		"reference":        {`{"gateway":{"auth":{"token":{"source":"env","id":"X"}}}}`, `{"gateway":{"auth":{"token":""}}}`},
		"null":             {`{"gateway":{"auth":{"token":null}}}`, `{"gateway":{"auth":{"token":""}}}`},
		"no-token":         {`{"gateway":{"auth":{"mode":"token"}}}`, `{"gateway":{"auth":{"token": "","mode":"token"}}}`},
		"no-token-lines":   {"{\"gateway\": {\n  \"auth\": {\n    \"mode\": \"token\"\n  }\n}}\n", "{\"gateway\": {\n  \"auth\": {\n    \"token\": \"\",\n    \"mode\": \"token\"\n  }\n}}\n"},
		"empty-auth":       {`{"gateway":{"auth":{ }}}`, `{"gateway":{"auth":{ "token": "" }}}`},
		"no-auth":          {`{"gateway":{ "port":1 }}`, `{"gateway":{ "auth": {"token": ""}, "port":1 }}`},
		"no-gateway":       {"\t{}\n", "\t{\"gateway\": {\"auth\": {\"token\": \"\"}}}\n"},
		"others-untouched": {`{"a":{"auth":{"token":"x"}},"gateway":{"auth":{"token":"y"}}}`, `{"a":{"auth":{"token":"x"}},"gateway":{"auth":{"token":""}}}`},
		"empty-password":   {`{"gateway":{"auth":{"password":"","token":"x"}}}`, `{"gateway":{"auth":{"password":"","token":""}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := openclaw.clearToken([]byte(c.in))
			if err != nil || string(got) != c.want {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
			if err := openclaw.Check(got); err != nil {
				t.Errorf("it is no placeholder: %v", err)
			}
		})
	}
}

func TestClearRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"comment":        {"{\n // mine\n}", "2:2: expected a key in double quotes: it must be strict JSON: take out what JSON5 adds"},
		"duplicate":      {`{"gateway":{},"gateway":{}}`, "1:15: duplicate key"},
		"array":          {`[]`, "1:1: is an array, not an object"},
		"gateway-string": {`{"gateway":"x"}`, "1:12: gateway: is a string, not an object"},
		"auth-array":     {`{"gateway":{"auth":[]}}`, "1:20: gateway.auth: is an array, not an object"},
		"mode-none":      {"{\"gateway\":{\"auth\":{\n\"mode\":\"none\"}}}", `2:8: gateway.auth.mode: is not "token"`},
		"mode-password":  {`{"gateway":{"auth":{"mode":"password"}}}`, `set it to "token"`},
		"mode-number":    {`{"gateway":{"auth":{"mode":1}}}`, `set it to "token"`},
		"password":       {`{"gateway":{"auth":{"password":"x"}}}`, "1:32: gateway.auth.password: is set: take it out"},
		"password-ref":   {`{"gateway":{"auth":{"password":{}}}}`, "gateway.auth.password: is set"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := openclaw.clearToken([]byte(c.in))
			if !errors.As(err, new(*ContentError)) || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestCheckAndSecret(t *testing.T) {
	for name, c := range map[string]struct{ in, refusal, secret string }{
		"good":           {`{"gateway":{"auth":{"mode":"token","token":""}}}`, "", ""},
		"no-auth":        {`{"gateway":{}}`, "is missing", ""},
		"no-token":       {`{"gateway":{"auth":{}}}`, "is missing", ""},
		"token":          {`{"gateway":{"auth":{"token":"x"}}}`, `is not ""`, "gateway.auth.token is set"},
		"variable":       {`{"gateway":{"auth":{"token":"${T}"}}}`, `is not ""`, "gateway.auth.token is set"},
		"reference":      {`{"gateway":{"auth":{"token":{}}}}`, `is not ""`, ""},
		"mode":           {`{"gateway":{"auth":{"mode":"none","token":""}}}`, "gateway.auth.mode", ""},
		"password":       {`{"gateway":{"auth":{"password":"p","token":""}}}`, "gateway.auth.password", "gateway.auth.password is set"},
		"not-json":       {`{token:'x'}`, "strict JSON", "it may hold a token"},
		"another-shape":  {`{"gateway":[]}`, "is an array", ""},
		"not-the-object": {`"x"`, "is a string", "it may hold a token"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openclaw.Check([]byte(c.in))
			if c.refusal == "" && err != nil || c.refusal != "" && (!errors.As(err, new(*ContentError)) || !strings.Contains(err.Error(), c.refusal)) {
				t.Errorf("got %v, want %q", err, c.refusal)
			}
			if got := openclaw.Secret([]byte(c.in)); c.secret == "" && got != "" || !strings.Contains(got, c.secret) {
				t.Errorf("secret: %q, want %q", got, c.secret)
			}
		})
	}
}

// TestOtherLayout checks a layout with the token elsewhere, without a mode or a password.
func TestOtherLayout(t *testing.T) {
	flat, deep := Layout{Token: "api_key"}, Layout{Token: "a.b.c.d", Mode: "a.kind", ModeValue: "key"}
	for name, c := range map[string]struct {
		layout         Layout
		in, want, fail string
	}{
		"flat":          {flat, `{"x":1}`, `{"api_key": "","x":1}`, ""},
		"flat-set":      {flat, `{"api_key":"k","mode":"none","":"s"}`, `{"api_key":"","mode":"none","":"s"}`, ""},
		"deep":          {deep, `{"a":{"kind":"key"}}`, `{"a":{"b": {"c": {"d": ""}},"kind":"key"}}`, ""},
		"deep-mode":     {deep, `{"a":{"kind":"none"}}`, "", `1:14: a.kind: is not "key"`},
		"deep-no-place": {deep, `{"a":{"b":{"c":1}}}`, "", "1:16: a.b.c: is a number, not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.layout.clearToken([]byte(c.in))
			if string(got) != c.want || (c.fail == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Fatalf("got %q, %v", got, err)
			}
			if err == nil && (c.layout.Check(got) != nil || c.layout.Secret(got) != "") {
				t.Errorf("it is no placeholder: %v, %q", c.layout.Check(got), c.layout.Secret(got))
			}
		})
	}
}

// FuzzClear checks that accepted data has the placeholder afterwards, that a second
// run changes nothing, and that all other members keep their meaning.
func FuzzClear(f *testing.F) {
	for _, s := range []string{`{"gateway":{"auth":{"token":"x"}}}`, "{\n \"a\":1}", `{"gateway":{"auth":{}},"b":[]}`, `{"gateway":{"x":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := openclaw.clearToken(data)
		if err != nil {
			return
		}
		if err := openclaw.Check(got); err != nil {
			t.Fatalf("%q became %q: %v", data, got, err)
		}
		if again, err := openclaw.clearToken(got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("a second run makes %q of %q: %v", again, got, err)
		}
		if before, after := withoutToken(t, data), withoutToken(t, got); !reflect.DeepEqual(before, after) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

// withoutToken returns the members of data, without the token and its empty parents.
func withoutToken(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	gateway, _ := all["gateway"].(map[string]any)
	auth, _ := gateway["auth"].(map[string]any)
	if delete(auth, "token"); len(auth) == 0 {
		delete(gateway, "auth")
	}
	if len(gateway) == 0 {
		delete(all, "gateway")
	}
	return all
}
