// Package token holds the scenarios of the token (T): where it is, where it is
// not, how it is read, refused and replaced.
package token

import (
	"archive/tar"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatewayinit/tests/harness"
)

// window is how much of the token counts as a leak, in characters.
const window = 16

// forms are the token's text as it could have been written somewhere.
func forms(t testing.TB, token string) (all []string) {
	t.Helper()
	raw, err := hex.DecodeString(token)
	if err != nil || len(token) != 64 {
		t.Fatalf("not a token: %d characters, %v", len(token), err)
	}
	all = append(all, token, strings.ToUpper(token), string(raw))
	for _, text := range []string{token, string(raw)} {
		for skip := range 3 { // the alignments of base64
			part := text[skip:]
			all = append(all, base64.StdEncoding.EncodeToString([]byte(part[:len(part)/3*3])))
		}
	}
	return all
}

// leaked says which part of the token data has, or nil.
func leaked(t testing.TB, token string, data string) error {
	t.Helper()
	for _, form := range forms(t, token) {
		for i := 0; i+window <= len(form); i++ {
			if at := strings.Index(data, form[i:i+window]); at >= 0 {
				return fmt.Errorf("%d characters of the token at offset %d", window, at)
			}
		}
	}
	return nil
}

// exported looks through every file of the container's file system as the
// engine exports it: image layers and what was written since; no tmpfs.
func exported(t *testing.T, c *harness.Container, token string) (files int) {
	t.Helper()
	engine := os.Getenv("ENGINE")
	if engine == "" {
		engine = "docker"
	}
	cmd := exec.Command(engine, "export", c.Name)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(out); ; files++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := leaked(t, token, string(data)); err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return files
}
