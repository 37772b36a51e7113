// SPDX-License-Identifier: Apache-2.0

// Package leaks attacks the token. Programs of the gateway's user and of the
// agent's user collect all that they can get while the gateway is restarted, killed
// and probed. Then the tests search the loot for every token.
//
// Each attack has a run in which it must win. Otherwise the other tests could pass
// because the attack is broken. Two more such runs are made by hand:
//
//	LEAKS_CONTROL=traceable  gateway-init is 0755: its re-exec children can be traced
//	LEAKS_IMAGE=NAME         the gateway-init and gatewayctl of another image
//	THIEF_SECONDS=600        how long the port's thief tries; 60 without it
package leaks

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// boot bounds a start.
const boot = 30 * time.Second

// start calls harness.Start with the options of the package documentation's
// variables.
func start(t *testing.T, o harness.Options) *harness.Container {
	t.Helper()
	o.Extra = append(o.Extra, controls(t)...)
	if image := os.Getenv("LEAKS_IMAGE"); image != "" {
		o.Image = image
	}
	c := harness.Start(t, o)
	c.WaitServing(boot)
	return c
}

// controls returns the flags that make an attack win. Another image keeps its own
// gateway-init and gatewayctl and gets this tree's attackers and gateway.
func controls(t *testing.T) (flags []string) {
	t.Helper()
	bin := filepath.Join(harness.Root(t), "bin")
	switch v := os.Getenv("LEAKS_CONTROL"); v {
	case "":
	case "traceable":
		flags = append(flags, traceable(t)...)
	default:
		t.Fatalf("LEAKS_CONTROL=%s: it is traceable or unset", v)
	}
	if os.Getenv("LEAKS_IMAGE") != "" {
		flags = append(flags, "-v", bin+"/demotools:/usr/local/bin/demotools:ro", "-v", gatewayCopy(t)+":/usr/local/bin/demogateway:ro")
	}
	return flags
}

// traceable returns the flags that mount a gateway-init of mode 0755. The kernel
// lets its user trace such a re-exec child.
func traceable(t *testing.T) []string {
	t.Helper()
	return []string{"-v", filepath.Join(harness.Root(t), "bin/gateway-init") + ":/usr/local/sbin/gateway-init:ro"}
}

// gatewayCopy copies the demo gateway, with the mode that it has in the image.
func gatewayCopy(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(t), "bin/demogateway"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(harness.HostDir(t, "program", 0, 0o755), "demogateway")
	if err := os.WriteFile(path, data, 0o711); err != nil {
		t.Fatal(err)
	}
	return path
}

// taken is one line of a loot: the way, the process and the bytes.
type taken struct {
	way  string
	pid  int
	data []byte
}

// readLoot reads the lines of a seeker's loot.
func readLoot(t *testing.T, c *harness.Container, path string) (all []taken) {
	t.Helper()
	data, err := os.ReadFile(c.HostPath(path))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(words) != 3 {
			t.Fatalf("the loot has a line of %d words", len(words))
		}
		pid, err := strconv.Atoi(words[1])
		text, errQuote := strconv.Unquote(words[2])
		if err != nil || errQuote != nil {
			t.Fatalf("the loot has a bad line of %s: %v, %v", words[0], err, errQuote)
		}
		all = append(all, taken{words[0], pid, []byte(text)})
	}
	return all
}

// ways counts the lines of the loot that contain one of the tokens, by way.
func ways(t *testing.T, loot []taken, tokens ...string) map[string]int {
	t.Helper()
	var sets []*tokenscan.Set
	for _, token := range tokens {
		sets = append(sets, harness.TokenSet(t, token))
	}
	found := map[string]int{}
	for _, line := range loot {
		for _, set := range sets {
			if set.Find(line.data) >= 0 {
				found[line.way]++
				break
			}
		}
	}
	return found
}
