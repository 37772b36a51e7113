// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// fixture is a container that tests of a package share.
type fixture struct {
	once sync.Once
	c    *Container
}

var fixtures sync.Map // by name

// fixtureHolder is the test that a shared container belongs to. owner.go removes
// the container with this process, so it needs no cleanups.
type fixtureHolder struct {
	testing.TB
	name string
}

func (h fixtureHolder) Name() string   { return h.name }
func (h fixtureHolder) Cleanup(func()) {}

func (h fixtureHolder) TempDir() string {
	dir, err := os.MkdirTemp(owning(h.TB).dir, "fixture")
	if err != nil {
		h.Fatal(err)
	}
	return dir
}

// Share returns the container of a fixture. The first test of the package that
// names the fixture starts it. options gets the test that its files belong to.
func Share(t testing.TB, name string, options func(testing.TB) Options) *Container {
	t.Helper()
	Slot(t)
	any, _ := fixtures.LoadOrStore(name, new(fixture))
	f := any.(*fixture)
	f.once.Do(func() {
		h := fixtureHolder{t, name}
		f.c = Start(h, options(h))
	})
	if f.c == nil {
		t.Fatalf("the container %s did not start", name)
	}
	return f.c.For(t)
}

// Look is Share for a test that only looks at status, proofs, privileges, files and
// refusals. The container serves. A test that changed it fails, and has to use
// Start for a container of its own.
func Look(t testing.TB, name string, o Options) *Container {
	t.Helper()
	c := Share(t, name, func(testing.TB) Options { return o })
	c.WaitServing(testenv.Patience)
	before := c.lookedAt()
	t.Cleanup(func() {
		if after := c.lookedAt(); after != before {
			t.Errorf("this test changed the container %s, at which others look, from %s to %s: it needs its own", name, before, after)
		}
	})
	return c
}

// lookedAt returns the state that no test may change.
func (c *Container) lookedAt() string {
	c.t.Helper()
	data, err := os.ReadFile(c.recordPath())
	var r status.Record
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		c.t.Errorf("cannot read the record of %s: %v", c.Name, err)
	}
	var last status.LastRequest
	if r.LastRequest != nil {
		last = *r.LastRequest
	}
	return fmt.Sprint(r.Init, r.State, r.Gateway.Process, r.Token.Generation, r.Restarts, r.Crashes, r.Refused, last)
}

// Call is one program of a Batch.
type Call struct {
	Args  []string `json:"args"`
	Stdin string   `json:"stdin"`
}

// Batch runs programs as user, one after the other, in one call of the engine,
// which takes longer than most of them. The container must have demotools.
func (c *Container) Batch(user string, calls ...Call) []Result {
	c.t.Helper()
	in, err := json.Marshal(calls)
	if err != nil {
		c.t.Fatal(err)
	}
	r := c.ExecInput(user, in, "/usr/local/bin/demotools", "batch")
	var results []Result
	if err := json.Unmarshal([]byte(r.Stdout), &results); err != nil || r.Code != 0 || len(results) != len(calls) {
		c.t.Fatalf("%d results for %d calls as %q, %v: %v", len(results), len(calls), user, err, r)
	}
	return results
}
