// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestParseListen checks which port the gateway gets, for each way to give it.
func TestParseListen(t *testing.T) {
	for name, c := range map[string]struct {
		listen, publish string
		port            uint16
		random          bool
	}{
		"default":           {`{}`, ``, 18789, false},
		"fixed":             {`{"port": 80}`, ``, 80, false},
		"fixed-and-env":     {`{"port": 80, "port_env": "P"}`, ``, 80, false},
		"fixed-published":   {`{"port": 80}`, `{"port": 18789}`, 80, false},
		"default-elsewhere": {`{}`, `{"port": 80}`, 18789, false},
		"random":            {`{"port_env": "P"}`, `{"port": 18789}`, 0, true},
		"passed":            {`{"pass_fd": true}`, `{"port": 81}`, 81, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := parse(t, listenConfig(c.listen, c.publish)).Gateway
			if g.Port != c.port || g.RandomPort() != c.random {
				t.Errorf("port %d, random %t", g.Port, g.RandomPort())
			}
		})
	}
}

func listenConfig(listen, publish string) string {
	text := `{"gateway": {"command": ["/g"], "env": {"SET": "1"}, "pass_env": ["TZ"], "listen": ` + listen + `}`
	if publish != "" {
		text += `, "publish": ` + publish
	}
	return text + "}"
}

// TestParseRefusesListen checks that no client can be left without a way to the gateway,
// and that the gateway's port is not the one that PID 1 holds.
func TestParseRefusesListen(t *testing.T) {
	const held = `{"port": 18789}`
	for name, c := range map[string]struct{ listen, publish, want string }{
		"same-by-default": {`{}`, held, "publish.port: 18789 is publish.port, which gateway-init holds: give another port, or listen.port_env"},
		"same":            {`{"port": 80}`, `{"port": 80}`, "gateway.listen.port: 80 is publish.port"},
		"random-alone":    {`{"port_env": "P"}`, "", "gateway.listen.port_env: gives the gateway a random port, which no client finds: add publish, or listen.port"},
		"passed-alone":    {`{"pass_fd": true}`, "", "gateway.listen.pass_fd: needs publish.port"},
		"passed-and-port": {`{"pass_fd": true, "port": 80}`, held, "gateway.listen.pass_fd: excludes listen.port"},
		"passed-and-env":  {`{"pass_fd": true, "port_env": "P"}`, held, "gateway.listen.pass_fd: excludes listen.port"},
		"env-set":         {`{"port_env": "SET"}`, held, "gateway.env.SET: gets the port by listen.port_env: take it out of env"},
		"env-passed":      {`{"port_env": "TZ"}`, held, "gateway.listen.port_env: TZ stands in pass_env, too"},
		"env-token":       {`{"port_env": "OPENCLAW_GATEWAY_TOKEN"}`, held, "gateway.listen.port_env: OPENCLAW_GATEWAY_TOKEN is the token's variable"},
		"env-loader":      {`{"port_env": "NODE_OPTIONS"}`, held, "gateway.listen.port_env: NODE_OPTIONS changes what a program loads or runs"},
		"env-name":        {`{"port_env": "1P"}`, held, `gateway.listen.port_env: "1P" is not a variable's name`},
		"no-port":         {`{}`, `{"address": "*"}`, "publish: port is missing"},
		"address":         {`{}`, `{"port": 1, "address": "10.0.0.1"}`, `publish.address: "10.0.0.1" is unknown (accepted: 127.0.0.1, 0.0.0.0, ::, *)`},
		"wait":            {`{}`, `{"port": 1, "wait": "6m"}`, `publish.wait: "6m" is out of range (accepted: 100ms to 5m)`},
	} {
		t.Run(name, func(t *testing.T) { checkRefused(t, listenConfig(c.listen, c.publish), c.want) })
	}
}

// TestListenKeysComeInAnyOrder checks that publish may stand before gateway.
func TestListenKeysComeInAnyOrder(t *testing.T) {
	text := fmt.Sprintf(`{"publish": {"port": 80}, %s`, strings.TrimPrefix(listenConfig(`{"port_env": "P"}`, ""), "{"))
	if g := parse(t, text).Gateway; !g.RandomPort() {
		t.Errorf("port %d", g.Port)
	}
}
