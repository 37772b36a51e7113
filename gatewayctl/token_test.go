// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/tokenfile"
)

var hexToken = strings.Repeat("0123456789abcdef", 4)

func TestToken(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.want(w.run("token"), exitOK, hexToken+"\n", "")
	if w.out.String() != hexToken+"\n" {
		t.Errorf("stdout has more than the token")
	}
	w.want(w.run("token", "--url", "http://localhost:18789"), exitOK, "http://localhost:18789/#token="+hexToken+"\n", "")
}

// TestTokenRefusals is scenario T05 in small. Each failure has its word and its
// path, and stdout stays empty.
func TestTokenRefusals(t *testing.T) {
	tests := map[string]struct {
		change func(w *fixture)
		code   int
		reason string
	}{
		"no-supervisor": {func(w *fixture) { must(w.t, os.RemoveAll(w.path)) }, 5, "not-running"},
		"supervisor-gone": {func(w *fixture) {
			w.local.Process = func(procfs.ID) error { return procfs.ErrGone }
		}, 5, "not-running"},
		"no-record":  {func(w *fixture) { must(w.t, os.Remove(filepath.Join(w.path, status.Name))) }, 5, "not-running"},
		"bad-record": {func(w *fixture) { w.put("{", 0o600) }, 1, "not-readable"},
		"unsafe-dir": {func(w *fixture) { must(w.t, os.Chmod(w.path, 0o777)) }, 1, "not-readable"},
		"dumpable":   {func(w *fixture) { w.local.Hardened = errors.New("refused") }, 1, "not-readable"},
		"unsafe-name": {func(w *fixture) {
			must(w.t, os.Rename(w.record.Token.Path, w.record.Token.Path+".2"))
			must(w.t, os.Symlink(tokenfile.Name+".2", w.record.Token.Path))
		}, 1, "changed"},
		"two-names": {func(w *fixture) { must(w.t, os.Link(w.record.Token.Path, w.record.Token.Path+".2")) }, 1, "changed"},
		"open-mode": {func(w *fixture) { must(w.t, os.Chmod(w.record.Token.Path, 0o440)) }, 1, "changed"},
		"of-another-user": {func(w *fixture) { // the file belongs to that user too
			w.record.Token.UID = w.local.Owner + 1
			if w.local.EUID == 0 {
				must(w.t, os.Chown(w.record.Token.Path, int(w.local.Owner+1), -1))
			}
			w.publish()
		}, 1, "changed"},
		"not-minted": {func(w *fixture) { w.record.Token = status.Token{}; w.publish() }, 1, "not-readable"},
		"missing":    {func(w *fixture) { must(w.t, os.Remove(w.record.Token.Path)) }, 1, "changed"},
		"empty":      {func(w *fixture) { w.rewrite("") }, 1, "empty"},
		"short":      {func(w *fixture) { w.rewrite(hexToken[:63]) }, 1, "malformed"},
		"not-hex":    {func(w *fixture) { w.rewrite(strings.ToUpper(hexToken)) }, 1, "malformed"},
		"too-long":   {func(w *fixture) { w.rewrite(hexToken + "\n") }, 1, "malformed"},
		"replaced":   {func(w *fixture) { w.record.Token.Inode++; w.publish() }, 1, "changed"},
		"directory": {func(w *fixture) {
			must(w.t, os.Remove(w.record.Token.Path))
			must(w.t, os.Mkdir(w.record.Token.Path, 0o700))
		}, 1, "changed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.up()
			test.change(w)
			for _, args := range [][]string{{"token"}, {"token", "--url", "https://x"}} {
				w.want(w.run(args...), test.code, "", ": "+test.reason+": ")
				if !strings.Contains(w.err.String(), tokenfile.Name) {
					t.Errorf("no path in %q", w.err.String())
				}
				if strings.Contains(w.err.String(), hexToken[:16]) {
					t.Error("the token is in the message")
				}
			}
		})
	}
}

// rewrite changes the content in place, as a user of PID 1's uid could.
func (w *fixture) rewrite(text string) {
	w.t.Helper()
	must(w.t, os.Chmod(w.record.Token.Path, 0o600))
	must(w.t, os.WriteFile(w.record.Token.Path, []byte(text), 0o600))
	must(w.t, os.Chmod(w.record.Token.Path, 0o400))
}

// TestTokenSurvivesRotation checks a record that is written an instant after the file.
func TestTokenSurvivesRotation(t *testing.T) {
	w := newFixture(t)
	w.up()
	w.record.Token.Inode++
	w.publish()
	asked := 0
	w.local.TokenTries = 20
	w.local.Process = func(procfs.ID) error {
		if asked++; asked == 2 {
			w.identify()
			w.publish()
		}
		return nil
	}
	w.want(w.run("token"), exitOK, hexToken, "")
}

func TestURLPrefix(t *testing.T) {
	tests := map[string]string{
		"http://localhost":            "http://localhost/#token=",
		"http://localhost/":           "http://localhost/#token=",
		"http://localhost///":         "http://localhost/#token=",
		"https://h.example:8443/a/b":  "https://h.example:8443/a/b/#token=",
		"https://h.example:8443/a/b/": "https://h.example:8443/a/b/#token=",
		"http://[::1]:18789":          "http://[::1]:18789/#token=",
		"http://[::1]":                "http://[::1]/#token=",
		"http://h/?a=b":               "http://h/?a=b#token=",
		"":                            "", "http://": "", "http:///a": "", "ftp://h": "", "javascript:alert(1)": "",
		"http://h#x": "", "http://h/#": "", "http://h?a": "", "http://u:p@h": "", "http://h:0": "", "http://h:70000": "",
		"http://h:": "", "http://h:x": "", "http://::1": "", "http://[::1": "", "http://[1.2.3.4]": "", "http://h\n": "",
		"http://h h": "", "http://hé": "", "http://h/\"": "", "HTTP//h": "", "http://%41": "",
	}
	for base, want := range tests {
		got, err := urlPrefix(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("urlPrefix(%q) = %q, %v; want %q", base, got, err, want)
		}
	}
}

// FuzzURLPrefix checks that an accepted prefix gives a URL with one fragment, the token.
func FuzzURLPrefix(f *testing.F) {
	f.Add("http://localhost:18789/x")
	f.Add("https://[::1]:1/?q")
	f.Fuzz(func(t *testing.T, base string) {
		got, err := urlPrefix(base)
		if err != nil {
			return
		}
		if strings.Count(got, "#") != 1 || !strings.HasSuffix(got, "#token=") || strings.ContainsAny(got, " \n\r\t\x00\x1b") {
			t.Fatalf("urlPrefix(%q) = %q", base, got)
		}
		if again, err := urlPrefix(strings.TrimSuffix(got, "#token=")); err != nil || again != got {
			t.Fatalf("urlPrefix(%q) = %q, then %q, %v", base, got, again, err)
		}
	})
}
