// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/operate"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// jsonStatus is the output of gatewayctl status --json, schema 1
// (docs/status.md). Members are only ever added within one schema.
type jsonStatus struct {
	Schema   int                  `json:"schema"`
	Serving  bool                 `json:"serving"`
	ExitCode int                  `json:"exit_code"`
	Topology string               `json:"topology"` // direct, non-root, managed, none; "" if not known
	Reason   reason.Reason        `json:"reason"`
	Detail   string               `json:"detail"`
	Next     string               `json:"next"`
	Verified map[string]jsonCheck `json:"verified"`
	Record   *status.Record       `json:"record"`
}

type jsonCheck struct {
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// renderJSON returns v as one line of JSON.
func renderJSON(v operate.View) (string, error) {
	out := jsonStatus{
		Schema: 1, Serving: v.Serving, Topology: v.Topology, ExitCode: v.Code, Reason: v.Reason, Detail: v.Detail, Next: v.Hint,
		Verified: map[string]jsonCheck{}, Record: v.Record,
	}
	for _, c := range v.Checks {
		out.Verified[c.Name] = jsonCheck{c.Result, c.Detail}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("cannot encode status: %w", err)
	}
	return escapeControls(data) + "\n", nil
}

// escapeControls writes the characters that clean removes as \u escapes. The encoder
// leaves some of them as they are, and a terminal would obey them.
func escapeControls(data []byte) string {
	var b strings.Builder
	for _, r := range string(data) {
		if clean(string(r)) == string(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
