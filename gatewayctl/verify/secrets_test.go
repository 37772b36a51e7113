// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// secret computes a token when needed, because the searched trees hold this program.
func secret() string { return fmt.Sprintf("%x", sha256.Sum256([]byte("a token"))) }

// TestTokenBytes checks that the token is found in any layer, part and form, and
// that the report names the place and not the token.
func TestTokenBytes(t *testing.T) {
	token := secret()
	tokens, err := tokenscan.New(token)
	testenv.Must(t, err)
	part := token[20:36]
	for name, c := range map[string]struct {
		change func(f *fixture)
		place  string
	}{
		"none":          {func(*fixture) {}, ""},
		"whole":         {put("/var/log", file(0o600, "x "+token)), "var/log"},
		"part":          {put("/var/log", file(0o600, strings.Repeat("x", 5000)+part)), "var/log"},
		"too-short":     {put("/var/log", file(0o600, "x "+part[1:])), ""},
		"upper-case":    {put("/var/log", file(0o600, strings.ToUpper(token))), "var/log"},
		"base64-after":  {put("/var/log", file(0o600, base64.StdEncoding.EncodeToString([]byte("t="+token)))), "var/log"},
		"removed-later": {addedAndRemoved("/tmp/removed", token), "tmp/removed in layer "},
		"name":          {put("/var/"+token, file(0o600, "")), "the name /var/"},
		"link":          {put("/var/l", symlink("../"+token)), "var/l in layer"},
		"history":       {func(f *fixture) { f.history = append(f.history, "RUN x "+part) }, "config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			f := demo(t)
			c.change(f)
			f.options.Token = tokens
			check := func(how string, src Source, where string) {
				t.Helper()
				bad, all, _ := result(t, src, f.options)
				got := all["token-bytes"]
				if (where == "") != (got.Result == Held) || where != "" && len(bad) != 1 || !strings.Contains(got.Detail, where) {
					t.Errorf("%s: %v, %+v", how, bad, got)
				}
				if strings.Contains(strings.ToLower(got.Detail), part) {
					t.Errorf("%s: the report has the token: %s", how, got.Detail)
				}
			}
			check("legacy", Archive(bytes.NewReader(f.legacy(t))), c.place)
			check("oci", Archive(bytes.NewReader(f.oci(t))), strings.Replace(c.place, "config.json", "blobs/sha256/", 1))
			if c.place == "var/log" || c.place == "" || name == "name" {
				check("directory", Root(f.write(t)), c.place)
			}
		})
	}
	t.Run("behind-the-end-of-a-layer", func(t *testing.T) {
		data := makeArchive(t, append(layerOf{}.tar(t), token...))
		s := newLayerScan(tokens, known(t))
		_, err := readArchive(bytes.NewReader(data), s)
		if testenv.Must(t, err); len(s.leaks) != 1 || s.leaks[0] != "0/layer.tar" {
			t.Errorf("found in %v", s.leaks)
		}
	})
}

func TestHasSecret(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]bool{
		"TOKEN=" + digits:                 true,
		`"api_key": "` + digits + `"`:     true,
		"Authorization: Bearer " + digits: true,
		"sha256:" + digits:                false,
		"token sha256:" + digits:          false,
		"COPY file:" + digits + " in /":   false,
		"TOKEN=" + digits + "0":           false,
		"TOKEN=" + digits[1:]:             false,
		digits:                            false,
		"":                                false,
		"token_sha256=" + digits + " x":   true, // a false alarm is better
	} {
		if hasSecret(text) != want {
			t.Errorf("%.30q: %v", text, !want)
		}
	}
}

// TestCanceled checks that an interrupted look is no result.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := demo(t)
	for name, src := range map[string]Source{"directory": Root(f.write(t)), "archive": Archive(bytes.NewReader(f.legacy(t)))} {
		if r, err := Run(ctx, src, f.options); err == nil {
			t.Errorf("%s: an interrupted run has a result: %+v", name, r)
		}
	}
}
