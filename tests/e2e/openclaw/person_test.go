// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/harness/browser"
)

// shown bounds the wait for the page. It tries to connect again every 15 s at
// least.
const shown = 2 * time.Minute

// dashboard is a person at a browser on the host, and the container that this
// person operates.
type dashboard struct {
	*harness.Container
	page   *browser.Page
	origin string // the address of the published port, as the person types it
	flags  []string
}

// newDashboard starts a container on a bridge, with its volumes on the host.
func newDashboard(t *testing.T) *dashboard {
	t.Helper()
	needImage(t)
	browser.Need(t)
	d := &dashboard{flags: harness.Publish(harness.Port)}
	for path, uid := range map[string]int{"/var/lib/openclaw": harness.GatewayUID, "/sandbox": harness.SandboxUID} {
		d.flags = append(d.flags, "-v", harness.HostDir(t, filepath.Base(path), uid, 0o700)+":"+path)
	}
	d.run(t, nil)
	_, port, err := net.SplitHostPort(d.Published(harness.Port))
	if err != nil {
		t.Fatal(err)
	}
	d.origin = "http://localhost:" + port
	// The next container is published at the same port, so that the page finds it.
	d.flags = append([]string{"-p", fmt.Sprintf("127.0.0.1:%s:%d", port, harness.Port)}, d.flags[2:]...)
	return d
}

// run starts the container that the person operates from now on.
func (d *dashboard) run(t *testing.T, conf map[string]any) {
	t.Helper()
	o := options(t, conf, nil)
	o.Flags = append(harness.ReadmeFlags(), "--tmpfs", "/home/operator:uid=9003,gid=9003,mode=0700")
	o.Extra = slices.Concat(d.flags, o.Extra[len(noNetwork):])
	d.Container = harness.Start(t, o)
	d.WaitServing(ready)
}

// url returns what gatewayctl prints for the person.
func (d *dashboard) url() string { return d.MustCtl("token", "--url", d.origin) }

// sees waits until the page shows all words, and returns its text. The text never
// has the token.
func (d *dashboard) sees(t *testing.T, words ...string) (text string) {
	t.Helper()
	d.page.WaitFor(shown, strings.Join(words, " and "), func(now string) error {
		text = now
		for _, w := range words {
			if !strings.Contains(now, w) {
				return fmt.Errorf("the page does not show %q", w)
			}
		}
		return nil
	})
	if d.Running() && strings.Contains(text, d.Token()) {
		t.Error("the page shows the token")
	}
	return text
}

// asks lets the person ask for a file, and waits for the agent's answer.
func (d *dashboard) asks(t *testing.T, file string) {
	t.Helper()
	message := fmt.Sprintf(`CALLS [{"name":"write","arguments":{"path":%q,"content":"content"}}]`, file)
	d.enters(t, "textarea", message, func(text string) bool { return strings.Contains(text, message) })
	d.sees(t, wrote(file))
}

// enters writes into a field, and presses Enter until the page shows the effect. A
// page that is still being built may lose either.
func (d *dashboard) enters(t *testing.T, field, text string, done func(shown string) bool) {
	t.Helper()
	d.page.WaitFor(shown, "the effect of an input", func(now string) error {
		if done(now) {
			return nil
		}
		value, err := d.page.Value(field)
		if err != nil {
			return err
		}
		if value == text {
			d.page.Enter()
			return errors.New("the page does not take it")
		}
		d.page.Fill(field, text)
		return errors.New("the field has another text")
	})
}

// wrote returns the end of the agent's answer to asks.
func wrote(file string) string { return file + `"] END` }
