// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
)

// Hint is about a value that is accepted and probably a mistake.
type Hint struct{ Key, Text string }

// Hints returns the values that name a variable as a shell would have it. No shell reads
// them, so the program gets them as they are. A word with a space in it may be a script
// for a shell.
func (c *Config) Hints() (hints []Hint) {
	g := &c.Gateway
	hints = append(wordHints("gateway.command", g.Command), envHints("gateway.env", g.Env)...)
	hints = append(hints, envHints("operator.env", c.OperatorEnv)...)
	for i, s := range c.Sidecars {
		key := fmt.Sprintf("sidecars[%d]", i)
		hints = append(hints, wordHints(key+".command", s.Command)...)
		hints = append(hints, envHints(key+".env", s.Env)...)
	}
	for _, client := range c.Clients {
		hints = append(hints, wordHints("clients."+client.Name, client.Command)...)
	}
	return hints
}

func wordHints(key string, words []string) (hints []Hint) {
	for i, word := range words {
		if name := variable(word); name != "" && !strings.Contains(word, " ") {
			hints = append(hints, literal(fmt.Sprintf("%s[%d]", key, i), name))
		}
	}
	return hints
}

func envHints(key string, env []string) (hints []Hint) {
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if v := variable(value); v != "" {
			hints = append(hints, literal(key+"."+name, v))
		}
	}
	return hints
}

func literal(key, name string) Hint {
	return Hint{key, "has $" + name + ", which is passed as it is, because no shell reads it: write the value"}
}

// variable returns the first name after $, ${ or $( in text, or "". Kubernetes has the last
// form. Only a name in capitals counts.
func variable(text string) string {
	const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	for {
		_, after, found := strings.Cut(text, "$")
		if !found {
			return ""
		}
		text = strings.TrimPrefix(strings.TrimPrefix(after, "{"), "(")
		name := text[:len(text)-len(strings.TrimLeft(text, capitals+"0123456789"))]
		if len(name) > 1 && strings.Contains(capitals, name[:1]) && len(name) <= 64 {
			return name
		}
	}
}
