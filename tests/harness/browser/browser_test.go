// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// form has a hidden field before the visible one. Its first line shows what was
// entered.
const form = `<p>nothing</p><textarea style="display:none"></textarea><textarea>old</textarea>
<script>document.onkeydown = e => { if (e.key == "Enter") document.querySelector("p").innerText = "entered " + e.target.value }</script>`

func shows(want string) func(string) error {
	return func(text string) error {
		if !strings.Contains(text, want) {
			return errors.New(text)
		}
		return nil
	}
}

// TestPage uses each method of a page.
func TestPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, form) }))
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	p := Start(t, 0).Open(url + "/first")
	p.WaitFor(time.Minute, "the page", shows("nothing"))
	first := p.Loaded()
	p.Fill("textarea", "new")
	if value, err := p.Value("textarea"); value != "new" || err != nil {
		t.Errorf("the field has %q, %v", value, err)
	}
	p.Enter()
	p.WaitFor(time.Minute, "the effect", shows("entered new"))
	if p.Loaded() != first {
		t.Error("the page was loaded again")
	}
	p.Go(url + "/second")
	p.WaitFor(time.Minute, "the next page", shows("nothing"))
	if a := p.Address(); a != url+"/second" || p.Loaded() == first {
		t.Errorf("the address is %q", a)
	}
	if value, err := p.Value("#none"); err == nil {
		t.Errorf("a field that does not exist has %q", value)
	}
	p.Shot("page")
	file, err := os.ReadFile(filepath.Join(harness.Root(t), "bin/screenshots", t.Name(), "page.png"))
	if err != nil || http.DetectContentType(file) != "image/png" {
		t.Errorf("the screenshot has %d bytes, %v", len(file), err)
	}
}

// TestNoOtherName checks that the browser resolves no name but localhost.
func TestNoOtherName(t *testing.T) {
	p := Start(t, 0).Open("about:blank")
	var r struct{ ErrorText string }
	p.must("Page.navigate", map[string]any{"url": "http://debian.org/"}, &r)
	if r.ErrorText != "net::ERR_NAME_NOT_RESOLVED" {
		t.Errorf("got %q", r.ErrorText)
	}
}

// TestBrowserHasEnded checks that a call fails, and does not wait, when the browser
// has been killed.
func TestBrowserHasEnded(t *testing.T) {
	b := Start(t, 0)
	b.Open("about:blank")
	var info struct {
		ProcessInfo []struct {
			Type string
			ID   int
		}
	}
	err := b.conn.call("", "SystemInfo.getProcessInfo", nil, &info)
	if err != nil || len(info.ProcessInfo) == 0 || info.ProcessInfo[0].Type != "browser" || info.ProcessInfo[0].ID < 2 {
		t.Fatalf("no browser: %+v, %v", info, err)
	}
	if err := syscall.Kill(info.ProcessInfo[0].ID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for b.conn.call("", "Browser.getVersion", nil, nil) == nil { // it may have read one more
		if time.Since(began) > patience {
			t.Fatal("it answers")
		}
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the call took %v", took)
	}
}
