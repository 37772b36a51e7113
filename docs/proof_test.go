// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/supervisor/proof"
)

// TestProofResults checks that the table of results in docs/design.md has each
// verdict of a worker, with its reason and with the word definite or unknown.
func TestProofResults(t *testing.T) {
	_, page, _ := strings.Cut(read(t, "docs/design.md"), "| result of the worker |")
	page, _, _ = strings.Cut(page, "\n\n")
	var known []string
	for code := 1; code < 256; code++ {
		v, ok := proof.FromExit(code)
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(v.String(), ":") // the rest is advice
		word := "unknown"
		if v.Definite() {
			word = "definite"
		}
		text = regexp.MustCompile("status [0-9]+").ReplaceAllString(text, "status N")
		if row := fmt.Sprintf("| %s | %s | `%s` |", text, word, v.Reason()); !slices.Contains(known, row) {
			known = append(known, row)
		}
	}
	if len(known) < 10 {
		t.Fatalf("found only %q", known)
	}
	var documented []string
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "` |") {
			documented = append(documented, line)
		}
	}
	same(t, "docs/design.md", documented, known)
}
