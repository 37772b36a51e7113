// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// known returns the shipped profiles.
func known(t testing.TB) Profiles {
	t.Helper()
	all, err := LoadProfiles()
	testenv.Must(t, err)
	return all
}

// TestShippedProfiles checks that each member of the files is read.
func TestShippedProfiles(t *testing.T) {
	for _, want := range []profile{
		{
			name: "openclaw", order: 1, tokenEnv: "OPENCLAW_GATEWAY_TOKEN", by: recognition{argument: "openclaw.mjs"}, hidden: true, script: true, bare: true,
			own: seal.Layout{
				File: own, Token: "gateway.auth.token", Mode: "gateway.auth.mode", ModeValue: "token", Password: "gateway.auth.password",
				Backups: []string{".bak", ".last-good"},
			},
			device: []string{"device-auth.json", "openclaw.sqlite", "paired.json"},
		},
		{name: "hermes", order: 2, tokenEnv: "API_SERVER_KEY", by: recognition{tokenEnv: "API_SERVER_KEY"}},
		{name: "demo", order: 3, by: recognition{program: "demogateway"}},
	} {
		if got, err := known(t).choose(want.name, nil, nil); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	if names := known(t).Names(); !slices.Equal(names[:3], []string{"openclaw", "hermes", "demo"}) {
		t.Errorf("in another order: %q", names)
	}
}

// TestShippedConfigurations checks that each fits the profile of its name, and no other.
func TestShippedConfigurations(t *testing.T) {
	for file, name := range map[string]string{"profiles/openclaw.json": "openclaw", "profiles/hermes.json": "hermes", "demo/config.json": "demo"} {
		data, err := os.ReadFile("../../image/" + file)
		testenv.Must(t, err)
		c, err := config.Parse(data, file)
		testenv.Must(t, err)
		if p, err := known(t).choose("", c, nil); err != nil || p.name != name {
			t.Errorf("%s is a configuration of %q: %v", file, p.name, err)
		}
	}
}

// TestRecognition checks that the demo's program is recognized only as the first word.
func TestRecognition(t *testing.T) {
	for name, c := range map[string]struct {
		command  []string
		tokenEnv string
		want     []string
	}{
		"program":           {[]string{"/usr/bin/demogateway"}, "X", []string{"demo"}},
		"program-elsewhere": {[]string{"/usr/bin/env", "/usr/bin/demogateway"}, "X", nil},
		"argument":          {[]string{"/usr/bin/node", "-x", "/lib/openclaw.mjs"}, "X", []string{"openclaw"}},
		"argument-first":    {[]string{"/lib/openclaw.mjs"}, "X", []string{"openclaw"}},
		"argument-longer":   {[]string{"/usr/bin/node", "/lib/openclaw.mjs.old"}, "X", nil},
		"token-variable":    {[]string{"/usr/bin/python"}, "API_SERVER_KEY", []string{"hermes"}},
		"several":           {[]string{"/usr/bin/demogateway", "openclaw.mjs"}, "API_SERVER_KEY", []string{"openclaw", "hermes", "demo"}},
	} {
		t.Run(name, func(t *testing.T) {
			configuration := &config.Config{}
			configuration.Gateway.Command, configuration.Gateway.TokenEnv = c.command, c.tokenEnv
			var got []string
			for _, p := range known(t) {
				if p.fits(configuration) {
					got = append(got, p.name)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	both := recognition{argument: "x", tokenEnv: "T"}
	configuration := &config.Config{}
	configuration.Gateway.Command, configuration.Gateway.TokenEnv = []string{"x"}, "U"
	if (profile{by: both}).fits(configuration) {
		t.Error("one of two is enough")
	}
}

func TestOwnConfig(t *testing.T) {
	second := profile{name: "second", own: seal.Layout{File: "/etc/second.json", Token: "key"}}
	all := append(known(t), second)
	for file, want := range map[string]seal.Layout{own: all[0].own, "": all[0].own, "/etc/other.json": all[0].own, second.own.File: second.own} {
		if got := all.OwnConfig(file); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v", file, got)
		}
	}
	for base, want := range map[string]string{"second.json.old": "key is set", "second.json": "key is set", "openclaw.json": "", "second.jsonx": ""} {
		if got := all.secret(base, []byte(`{"key":"s"}`)); got != want {
			t.Errorf("%s: %q, want %q", base, got, want)
		}
	}
}

func TestProfileIsRefused(t *testing.T) {
	const good = `{"name":"x","order":1,"recognized_by":{"program":"x"},"device_state":["a.json"],
"own_config":{"file":"/etc/x.json","token":"a.b","mode":"a.m","mode_value":"v","password":"p"}}`
	load := func(name, text string) (Profiles, error) {
		return loadProfiles(fstest.MapFS{name: {Data: []byte(text)}, "README": {}})
	}
	if all, err := load("x.verify.json", good); err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no-json":        {`{"name"`, `{name`, "x.verify.json: 1:2: expected a key in double quotes"},
		"twice":          {`"order":1`, `"name":"x"`, "1:13: duplicate key"},
		"unknown":        {`"order"`, `"ordre"`, "1:13: ordre: unknown key"},
		"unknown-inside": {`"mode":`, `"mod":`, "2:50: own_config.mod: unknown key"},
		"dotted":         {`"device_state":[`, `"own_config.backups":[`, "own_config.backups: unknown key"},
		"kind":           {`"x","order"`, `true,"order"`, "1:9: name: is a boolean, not a string"},
		"kind-inside":    {`"p"}`, `[]}`, "own_config.password: is an array, not a string"},
		"kind-of-entry":  {`"a.json"`, `1`, "device_state: is an array, not an array of strings"},
		"not-whole":      {`"order":1`, `"order":1.5`, "order: is a number, not a whole number"},
		"no-object":      {`{"program":"x"}`, `"x"`, "1:39: recognized_by: is a string, not an object"},
		"other-name":     {`"name":"x"`, `"name":"y"`, `name: is "y": give it the name of the file`},
		"no-name":        {`"name":"x",`, ``, `name: is ""`},
		"no-order":       {`"order":1,`, ``, "1:1: order: is missing"},
		"no-recognition": {`"program":"x"`, ``, "recognized_by: is missing: give one of"},
		"device-path":    {`a.json`, `a/b.json`, "device_state: has an entry that is no name"},
		"relative":       {`/etc/x`, `etc/x`, "own_config.file: is not an absolute, clean path"},
		"no-file":        {`"file":"/etc/x.json",`, ``, "own_config.file: is not"},
		"no-token":       {`"token":"a.b",`, ``, "own_config.token: is no key"},
		"token-bytes":    {`"a.b"`, `"a.\""`, "own_config.token: is no key"},
		"token-dots":     {`"a.b"`, `"a..b"`, "own_config.token: is no key"},
		"mode-bytes":     {`"a.m"`, `"a m"`, "own_config.mode: is no key"},
		"no-mode-value":  {`,"mode_value":"v"`, ``, "own_config.mode: is no key, or does not have its mode_value"},
		"password-dots":  {`"p"}`, `"p."}`, "own_config.password: is no key"},
		"empty-backup":   {`"p"}`, `"p","backups":[".bak",""]}`, "own_config.backups: has an empty entry"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("there is no %s", c.old)
			}
			all, err := load("x.verify.json", strings.Replace(good, c.old, c.new, 1))
			if err == nil || all != nil || !strings.HasPrefix(err.Error(), "cannot read profile x.verify.json: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", all, err, c.want)
			}
		})
	}
	if _, err := load("x.json", good); err == nil || !strings.HasPrefix(err.Error(), "cannot read profiles: there is none") {
		t.Errorf("without a file: %v", err)
	}
	if _, err := load("x.verify.json", "[]"); err == nil || !strings.Contains(err.Error(), "1:1: is an array, not an object") {
		t.Errorf("an array: %v", err)
	}
}
