// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// elements returns how often each element is in a document. It fails if the document
// is no XML.
func elements(t *testing.T, text string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return seen
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			seen[e.Name.Local]++
		}
	}
}

func TestChart(t *testing.T) {
	c := &chart{title: "Less <is> more", unit: "ms"}
	c.bar("gateway & init", sample{1, 2, 3, 4}, one, true)
	c.bar("one run", sample{8}, one, false)
	c.bar("not measured", nil, one, false)
	c.figure("a figure", 4, false)
	c.figure("no figure", absent, false)
	text := c.svg()
	seen := elements(t, text)
	if seen["rect"] != 3 || seen["path"] != 1 || seen["text"] != 1+2*3 {
		t.Errorf("%v", seen)
	}
	for _, want := range []string{
		"Less &lt;is&gt; more", ">gateway &amp; init<", ">3.00 ms<", "prefers-color-scheme:dark",
		`width="360"`, `class="bar ours"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(text, "measured") || len(text) > 4096 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func TestEmptyChart(t *testing.T) {
	c := &chart{}
	c.figure("nothing", 0, false)
	if text := c.svg(); elements(t, text)["rect"] != 1 || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}
