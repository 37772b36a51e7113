// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// secret returns a random text in the form of a token, so that parts of it can be
// found.
func secret(t *testing.T) (string, *tokenscan.Set) {
	t.Helper()
	raw := make([]byte, tokenscan.TokenLen/2)
	rand.Read(raw)
	return hex.EncodeToString(raw), harness.TokenSet(t, hex.EncodeToString(raw))
}

// oldTools is the allow list of openclaw.json before sessions_spawn left it;
// subagents have all tools with it.
func oldTools(t *testing.T) map[string]any {
	t.Helper()
	var now struct{ Tools struct{ Allow []string } }
	if err := json.Unmarshal(harness.MergedJSON(t, "image/openclaw/openclaw.json", nil), &now); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(now.Tools.Allow, "sessions_spawn") || len(now.Tools.Allow) < 10 {
		t.Fatalf("the profile allows %v", now.Tools.Allow)
	}
	return map[string]any{"allow": append(now.Tools.Allow, "sessions_spawn"), "subagents": nil}
}

// deputy is the gateway under attack, and the secrets that must not leave it.
type deputy struct {
	*harness.Container
	conf string                    // the directory of its openclaw.json
	with map[string]any            // the model, as both profiles have it
	set  map[string]*tokenscan.Set // the secrets, by their names
}

// canaries are files that only the gateway can read, each with a text of its own.
var canaries = []string{"/var/lib/openclaw/canary", "/var/lib/openclaw/state/canary", "/tmp/openclaw-gateway/canary"}

// plant writes new canaries and returns their sets.
func (d *deputy) plant(t *testing.T) (sets []*tokenscan.Set) {
	t.Helper()
	for _, path := range canaries {
		text, set := secret(t)
		file := d.HostPath(path)
		err := os.WriteFile(file, []byte(text), 0o600)
		if err := errors.Join(err, os.Chown(file, harness.GatewayUID, harness.GatewayUID)); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	return sets
}

// asked returns all requests to the model.
func (d *deputy) asked(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(d.HostPath(requests))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// transcripts returns all events that the gateway's sessions have kept. The vendor
// compresses long events.
func (d *deputy) transcripts(t *testing.T) []byte {
	t.Helper()
	r := d.Exec("gateway", "node", "-e", `const {DatabaseSync} = require("node:sqlite"), {zstdDecompressSync} = require("node:zlib");
const db = new DatabaseSync("/var/lib/openclaw/agents/main/agent/openclaw-agent.sqlite", {readOnly: true});
for (const e of db.prepare("select event_json, event_zstd from transcript_events").iterate())
  console.log(e.event_json ?? zstdDecompressSync(e.event_zstd).toString());`)
	if r.Code != 0 || len(r.Stdout) < 1000 {
		t.Fatalf("transcripts: %v", r)
	}
	return []byte(r.Stdout)
}

// startDeputy starts a gateway with the old profile, with keys of a provider in its
// configuration and environment, and with a model that keeps its requests.
func startDeputy(t *testing.T) *deputy {
	t.Helper()
	d := &deputy{set: map[string]*tokenscan.Set{}}
	literal, set := secret(t)
	d.set["the key in its configuration"] = set
	variable, set := secret(t)
	d.set["the key in its environment"] = set
	models := withModel(nil)["models"].(map[string]any)
	models["providers"].(map[string]any)["fake"].(map[string]any)["apiKey"] = literal
	d.with = map[string]any{"models": models}
	o := options(t, map[string]any{"models": models, "tools": oldTools(t)}, nil)
	o.Env["ANTHROPIC_API_KEY"] = variable
	o.Command = append(o.Command, requests)
	d.conf = confDir(o)
	d.Container = harness.Start(t, o)
	d.WaitServing(ready)
	return d
}

// spawned finds the name of the session that sessions_spawn made.
var spawned = regexp.MustCompile(`childSessionKey\W+(agent:main:[a-z]+:[0-9a-f-]{36})`)

// TestDeputy is a table of attacks. A hostile model makes the gateway read files
// that the gateway may read and the agent may not. The gateway's token, a
// provider's key and a file of the gateway's state could leak.
//
// Run it on the day before an upgrade. Build the image with the new version
// (docs/openclaw.md has the commands), then
//
//	make long-openclaw
//
// Without DEPUTY_FULL it leaves out some spellings. It begins with a control. With
// the profile that allowed sessions_spawn, the same calls must bring the file to
// the model. Otherwise the rest proves nothing.
func TestDeputy(t *testing.T) {
	takePlace(t)
	d := startDeputy(t)
	first := d.plant(t)
	d.set["the token of the old profile's life"] = harness.TokenSet(t, d.Token())
	old := map[string]string{} // sessions with a foreign directory, by kind
	t.Run("control", func(t *testing.T) { d.control(t, first, old) })
	if t.Failed() {
		t.FailNow()
	}
	for i, set := range d.plant(t) {
		d.set["what is in "+canaries[i]] = set
	}
	writeConf(t, d.conf, d.with)
	d.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	d.set["the token"] = harness.TokenSet(t, d.Token())
	for _, link := range [][2]string{{"/run/gateway-init", "runtime"}, {"/var/lib/openclaw", "state"}, {"/proc/self/environ", "environ"},
		{"/run/gateway-init/gateway-token", "token"}, {"/var/lib/openclaw/canary", "canary"}} {
		d.Tools("sandbox", "ln", link[0], "/sandbox/to-"+link[1])
	}
	t.Run("spawn", d.spawn)
	t.Run("old-children", func(t *testing.T) { d.oldChildren(t, old) })
	t.Run("files", d.files)
	t.Run("leaks", d.leaks)
	if v := d.For(t).View(); !v.Serving {
		t.Errorf("the gateway does not serve: %s %s", v.Reason, v.Detail)
	}
}

// control makes the children that keep their directories. It waits until one hidden
// and one visible child have each brought the canary to the model.
func (d *deputy) control(t *testing.T, canary []*tokenscan.Set, old map[string]string) {
	names := []string{"hidden", "visible", "runtime", "parent"}
	results := turn(t, d.For(t),
		viaSearch(spawn("/var/lib/openclaw", false, read("canary"))),
		viaSearch(spawn("/var/lib/openclaw/state", true, read("canary"))),
		viaSearch(spawn("/run/gateway-init", false, read("gateway-token"))),
		viaSearch(spawn("..", true, read("openclaw/canary"))),
	)
	for i, name := range names {
		key := spawned.FindStringSubmatch(results[i])
		if key == nil {
			t.Fatalf("%s: no child: %s", name, results[i])
		}
		old[name] = key[1]
	}
	// A child asks the model again after it has read. That request has the text.
	harness.Eventually(t, ready, "a hidden and a visible child to bring their canaries to the model", func() error {
		asked := d.asked(t)
		if hidden, visible := canary[0].Find(asked) >= 0, canary[1].Find(asked) >= 0; !hidden || !visible {
			return fmt.Errorf("hidden %v, visible %v", hidden, visible)
		}
		return nil
	})
	if canary[0].Find(d.transcripts(t)) < 0 {
		t.Error("the transcripts do not have what the child read")
	}
	t.Logf("the old profile: both canaries reached the model; the token did: %v", d.set["the token of the old profile's life"].Find(d.asked(t)) >= 0)
}

// leaks looks for the secrets wherever the agent or its model can see them.
func (d *deputy) leaks(t *testing.T) {
	texts := map[string][]byte{"what the model was asked": d.asked(t), "the transcripts": d.transcripts(t), "the log": []byte(d.Logs())}
	for _, dir := range []string{"/sandbox", "/home/operator"} {
		err := filepath.WalkDir(d.HostPath(dir), func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				texts[path], err = os.ReadFile(path)
			}
			if errors.Is(err, os.ErrNotExist) { // it has ended
				return nil
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if len(texts) < 5 {
		t.Errorf("only %d texts to look at", len(texts))
	}
	for where, text := range texts {
		for what, set := range d.set {
			if at := set.Find(text); at >= 0 {
				t.Errorf("%s: %s is at %d", where, what, at)
			}
		}
	}
	if strings.Count(string(texts["what the model was asked"]), "\n") < 10 {
		t.Error("the model was hardly asked")
	}
}
