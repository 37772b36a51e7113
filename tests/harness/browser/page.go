// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// Page is a tab. Its methods fail the test if the browser fails.
type Page struct {
	t       testing.TB
	conn    *conn
	session string
}

func (p *Page) must(method string, params, result any) {
	p.t.Helper()
	if err := p.conn.call(p.session, method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

// Go opens another address in this tab, as a person does in the address bar. The
// address may have a secret, so no error shows it.
func (p *Page) Go(url string) {
	p.t.Helper()
	var r struct{ ErrorText string }
	if p.must("Page.navigate", map[string]any{"url": url}, &r); r.ErrorText != "" {
		p.t.Fatalf("cannot open the page: %s", r.ErrorText)
	}
}

// eval evaluates an expression of JavaScript. Its value must not be undefined.
func (p *Page) eval(expression string, v any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	err := p.conn.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	switch {
	case err != nil:
		return err
	case r.ExceptionDetails != nil:
		return fmt.Errorf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return json.Unmarshal(r.Result.Value, v)
}

// Loaded returns when the page was loaded, in the browser's own measure.
func (p *Page) Loaded() (at float64) {
	p.t.Helper()
	if err := p.eval("performance.timeOrigin", &at); err != nil {
		p.t.Fatal(err)
	}
	return at
}

// Address returns what the address bar shows.
func (p *Page) Address() string {
	p.t.Helper()
	var address string
	if err := p.eval("location.href", &address); err != nil {
		p.t.Fatal(err)
	}
	return address
}

// text returns the text that the page shows. It is an error while a page loads.
func (p *Page) text() (text string, err error) {
	return text, p.eval("document.body.innerText", &text)
}

// WaitFor waits until the page's text meets a condition.
func (p *Page) WaitFor(deadline time.Duration, what string, met func(text string) error) {
	p.t.Helper()
	harness.Eventually(p.t, deadline, what, func() error {
		text, err := p.text()
		if err != nil {
			return err
		}
		return met(text)
	})
}

// visible is an expression for the first visible element of a CSS selector. A page
// may have others, which a person does not see.
func visible(selector string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%q)].find(e => e.getClientRects().length)", selector)
}

// Value returns the text in a field.
func (p *Page) Value(selector string) (value string, err error) {
	return value, p.eval(visible(selector)+".value", &value)
}

// Fill clicks a field and replaces its text. A page that is still being built may
// lose the text, so wait for Value.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	var box []float64
	if err := p.eval("(b => [b.x, b.y, b.width, b.height])("+visible(selector)+".getBoundingClientRect())", &box); err != nil {
		p.t.Fatal(err)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.must("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": box[0] + box[2]/2, "y": box[1] + box[3]/2, "button": "left", "clickCount": 1}, nil)
	}
	const control = 2
	p.key(map[string]any{"key": "a", "code": "KeyA", "windowsVirtualKeyCode": 'A', "modifiers": control, "commands": []string{"selectAll"}})
	p.must("Input.insertText", map[string]any{"text": text}, nil)
}

// Enter presses the Enter key.
func (p *Page) Enter() {
	p.t.Helper()
	p.key(map[string]any{"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": '\r', "text": "\r"})
}

func (p *Page) key(event map[string]any) {
	p.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		event["type"] = kind
		p.must("Input.dispatchKeyEvent", event, nil)
	}
}

// Shot keeps a screenshot as bin/screenshots/TEST/name.png.
func (p *Page) Shot(name string) {
	p.t.Helper()
	if err := p.shot(name); err != nil {
		p.t.Errorf("cannot keep a screenshot: %v", err)
	}
}

func (p *Page) shot(name string) error {
	var r struct{ Data []byte }
	if err := p.conn.call(p.session, "Page.captureScreenshot", nil, &r); err != nil {
		return err
	}
	test, _, _ := strings.Cut(p.t.Name(), "/")
	dir := filepath.Join(harness.Root(p.t), "bin/screenshots", test)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".png"), r.Data, 0o644)
}

// explain shows the page of a test that has failed.
func (p *Page) explain() {
	if !p.t.Failed() {
		return
	}
	text, err := p.text()
	p.t.Logf("the page shows: %s %v\nits console: %s", text, err, p.conn.consoleOf(p.session))
	p.t.Logf("a screenshot of it is in bin/screenshots: %v", p.shot("failed"))
}
