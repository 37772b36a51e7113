// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// life is the start time and the token of one gateway.
type life struct {
	at    int64
	token string
}

// heard is a line of the thief's file: demotools robber.
type heard struct {
	At    int64
	What  string
	Agent string
	Bytes []byte
}

// verdict is the result of a search of the loot.
type verdict struct {
	takes, requests, frames, fromClients int
	opens                                int // connections by simultaneous open
	dead                                 int // lines with a token that no later gateway accepted
	fromWorker                           int // lines with a token that no client sent
	later                                int // lines with a token that a later gateway accepted
	tokens                               int // distinct tokens
}

// judge looks for each token in each line of the loot. A client may send its token
// just after its gateway has exited and before the client itself exits. That token
// is worthless if no later gateway accepts it.
func judge(t *testing.T, lives []life, loot []heard) (v verdict) {
	t.Helper()
	sets, last := map[string]*tokenscan.Set{}, map[string]int64{}
	for _, l := range lives {
		if sets[l.token] == nil {
			sets[l.token] = harness.TokenSet(t, l.token)
		}
		last[l.token] = max(last[l.token], l.at)
	}
	v.tokens = len(sets)
	for _, h := range loot {
		switch h.What {
		case "take":
			v.takes++
		case "open":
			v.opens++
		case "http":
			v.requests++
		case "frame":
			v.frames++
		}
		if h.Agent == clientAgent {
			v.fromClients++
		}
		for token, set := range sets {
			if set.Find(h.Bytes) < 0 {
				continue
			}
			switch {
			case h.Agent != clientAgent:
				v.fromWorker++
			case last[token] > h.At:
				v.later++
			default:
				v.dead++
			}
		}
	}
	return v
}

// TestJudge checks the rule of judge: which gateway accepted a token, and when.
func TestJudge(t *testing.T) {
	old, fresh := strings.Repeat("0a", 32), strings.Repeat("1b", 32)
	lives := []life{{100, old}, {200, old}, {300, fresh}}
	for name, c := range map[string]struct {
		line heard
		want verdict
	}{
		"dead":           {heard{250, "http", clientAgent, []byte("x" + old)}, verdict{requests: 1, fromClients: 1, dead: 1}},
		"taken-again":    {heard{150, "frame", clientAgent, []byte(old[10:30])}, verdict{frames: 1, fromClients: 1, later: 1}},
		"of-the-future":  {heard{250, "http", clientAgent, []byte(fresh)}, verdict{requests: 1, fromClients: 1, later: 1}},
		"from-a-worker":  {heard{350, "http", "", []byte(old)}, verdict{requests: 1, fromWorker: 1}},
		"without-tokens": {heard{350, "take", "", nil}, verdict{takes: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.tokens = 2
			if got := judge(t, lives, []heard{c.line}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
