// SPDX-License-Identifier: Apache-2.0

//go:build long

package openclaw

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
	"github.com/gateway-init/gateway-init/tests/harness/browser"
)

// Words of the vendor's page. docs/openclaw.md shows them to its reader.
const (
	pageServes     = "Connected"
	pageReconnects = "Reconnecting…"
	pageRejects    = "Gateway secret rejected"
	pageIsNew      = "Approve this browser"
)

// Scenario T03, with the dashboard. A person logs in with the URL that gatewayctl
// prints, and chats. A restart or a crash of the gateway needs nothing of the
// person. After a rotation and in a new container, the page says that the token is
// wrong, and the new one opens it.
//
// The dashboard had no recipe. Its port was closed, and after each start of the
// container its page named a command that failed.
func TestDashboard(t *testing.T) {
	takePlace(t)
	areInDocs(t, pageReconnects, pageRejects, pageIsNew)
	d := newDashboard(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"login", d.logIn}, {"restart", d.restart}, {"crash", d.crash}, {"rotation", d.rotate}, {"new container", d.replace}, {"another browser", d.approve},
	} {
		began := time.Now()
		step.run(t)
		t.Logf("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
}

// areInDocs checks that the reader of docs/openclaw.md finds these words there.
func areInDocs(t *testing.T, words ...string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/openclaw.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(string(page), "`"+w+"`") {
			t.Errorf("docs/openclaw.md does not have %q", w)
		}
	}
}

// logIn opens the printed URL. The address bar and the page do not show the token.
func (d *dashboard) logIn(t *testing.T) {
	d.page = browser.Start(t, harness.EnginePID(t)).Open(d.url())
	d.sees(t, pageServes)
	if text := d.page.Address(); text != d.origin+"/chat/main" {
		t.Errorf("the address bar shows %q", strings.ReplaceAll(text, d.Token(), "TOKEN"))
	}
	d.asks(t, "first")
	if got := d.FileText("/var/lib/openclaw/workspace/first"); got != "content" {
		t.Errorf("the agent wrote %q", got)
	}
	d.page.Shot("01-login")
}

// restart writes a message while no gateway runs. The page connects again without
// being loaded again, and the next gateway gets the message. The token stays the
// same, although the sidecar pair may have it when the gateway ends.
func (d *dashboard) restart(t *testing.T) {
	loaded, done := d.page.Loaded(), make(chan harness.Result, 1)
	go func() { done <- d.Ctl("restart", "--timeout", "4m") }()
	d.sees(t, pageReconnects)
	d.page.Shot("02-restart")
	d.asks(t, "second")
	if r := <-done; r.Code != 0 {
		t.Errorf("restart: %v", r)
	}
	d.sees(t, pageServes)
	d.page.Shot("03-restarted")
	if d.page.Loaded() != loaded {
		t.Error("the page was loaded again")
	}
}

// crash ends the gateway without a request. The person has nothing to do either.
func (d *dashboard) crash(t *testing.T) {
	old := d.Status().Gateway.Process
	signal(d.Container, old.PID, "SEGV")
	d.sees(t, pageReconnects)
	d.WaitNewGateway(old, ready)
	d.sees(t, pageServes)
}

// rotate lets the person open the new URL in the same tab.
func (d *dashboard) rotate(t *testing.T) {
	d.MustCtl("restart", "--rotate-token", "--timeout", "4m")
	d.sees(t, pageRejects)
	d.page.Shot("04-rotation")
	d.page.Go(d.url())
	d.sees(t, pageServes, wrote("second")) // the conversation is in the gateway's state
	d.page.Shot("05-rotated")
}

// replace removes the container and starts another one with its volumes and port.
// The person pastes the token.
func (d *dashboard) replace(t *testing.T) {
	old := d.Token()
	d.Stop()
	d.sees(t, pageReconnects)
	d.page.Shot("06-no-container")
	harness.Engine(t, nil, "rm", "-v", d.Name)
	d.run(t, map[string]any{"gateway": map[string]any{"nodes": map[string]any{"pairing": map[string]any{"autoApproveLocal": false}}}})
	if d.Token() == old {
		t.Fatal("the token is that of the former container")
	}
	d.sees(t, pageRejects)
	d.page.Shot("07-new-container")
	d.enters(t, "#login-gate-credential", d.MustCtl("token"), func(text string) bool { return !strings.Contains(text, pageRejects) })
	d.sees(t, pageServes, wrote("second"))
	d.asks(t, "third")
	d.page.Shot("08-pasted")
}

// approve opens the page in a browser that this gateway has not seen. replace has
// turned autoApproveLocal off, so the URL is not enough.
func (d *dashboard) approve(t *testing.T) {
	d.page = browser.Start(t, harness.EnginePID(t)).Open(d.url())
	text := d.sees(t, pageIsNew)
	d.page.Shot("09-approval")
	request := regexp.MustCompile(`openclaw devices approve ([0-9a-f-]{36})`).FindStringSubmatch(text)
	if request == nil {
		t.Fatal("the page shows no command")
	}
	if r := client(d.Container, "openclaw", "devices", "approve", request[1]); r.Code != 0 {
		t.Fatalf("devices approve: %v", r)
	}
	d.sees(t, pageServes, wrote("third"))
	d.page.Shot("10-approved")
	waitTools(t, d.Container) // a node pairs by its code all the same
}
