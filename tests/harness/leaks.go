// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
)

// NoToken fails the test if one of the tokens, or a part of it, is anywhere but in
// its place: in files that the agent can read, in the log, the status, the engine's
// description, or any file of the container's layers. The container must have
// demotools.
func (c *Container) NoToken(when string, tokens ...string) {
	c.t.Helper()
	var inspected json.RawMessage
	c.Inspect(&inspected)
	status := c.Ctl("status").Stdout + c.Ctl("status", "--json").Stdout
	if len(status) < 200 {
		c.t.Errorf("%s: the status is %q", when, status)
	}
	texts := map[string]string{"the log": c.Logs(), "the status": status, "inspect": string(inspected)}
	var sets []*tokenscan.Set
	for _, token := range tokens {
		set := TokenSet(c.t, token)
		sets = append(sets, set)
		r := c.ExecInput("sandbox", []byte(token), "demotools", "scan-token", "/")
		if r.Code != 0 || !strings.Contains(r.Stdout, "leaks=0") {
			c.t.Errorf("%s, as the agent: %v", when, r)
		}
		if strings.Contains(r.Stdout, "files=0 ") || strings.Contains(r.Stdout, "processes=0 ") {
			c.t.Errorf("%s: the scan looked at nothing: %v", when, r)
		}
		for what, text := range texts {
			if at := set.Find([]byte(text)); at >= 0 {
				c.t.Errorf("%s: %s has a part of the token at %d", when, what, at)
			}
		}
	}
	files := 0
	for name, found := range c.exported(sets) {
		if files++; found {
			c.t.Errorf("%s: %s in the container has a part of the token", when, name)
		}
	}
	if files < 5 {
		c.t.Errorf("%s: the export has only %d files", when, files)
	}
}

// TokenSet returns the texts that would be a leak of the token.
func TokenSet(t testing.TB, token string) *tokenscan.Set {
	t.Helper()
	set, err := tokenscan.New(token)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// exported iterates over the files of the container's file system, as the engine
// exports it (layers and later writes, no tmpfs). For each it yields whether the
// file has a part of a token.
func (c *Container) exported(sets []*tokenscan.Set) func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		cmd := exec.Command(engine(), "export", c.Name)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			c.t.Fatal(err)
		}
		for r := tar.NewReader(out); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			streams, writers := make([]*tokenscan.Stream, len(sets)), make([]io.Writer, len(sets))
			for i, set := range sets {
				streams[i] = set.Stream()
				writers[i] = streams[i]
			}
			if err == nil {
				_, err = io.Copy(io.MultiWriter(writers...), r)
			}
			if err != nil {
				c.t.Fatal(err)
			}
			if !yield(h.Name, slices.ContainsFunc(streams, (*tokenscan.Stream).Found)) {
				break
			}
		}
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// NoTokenBelow fails the test if a file below a directory of the host has a part of
// one of the tokens. It returns how many files it read.
func NoTokenBelow(t testing.TB, when, dir string, tokens ...string) (files int) {
	t.Helper()
	var sets []*tokenscan.Set
	for _, token := range tokens {
		sets = append(sets, TokenSet(t, token))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it has ended
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case slices.ContainsFunc(sets, func(s *tokenscan.Set) bool { return s.Find(data) >= 0 }):
			return fmt.Errorf("%s has a part of the token", path)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", when, err)
	}
	return files
}
