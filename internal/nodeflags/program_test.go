// SPDX-License-Identifier: Apache-2.0

package nodeflags

import (
	"io/fs"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	files := map[string]string{
		"/usr/bin/node": "\x7fELF", "/usr/bin/env": "\x7fELF", "/bin/sh": "\x7fELF", "/opt/node": "\x7fELF",
		"/node.js": "#!/usr/bin/env node\ncode", "/split.js": "#! /usr/bin/env -S node --disable-sigusr1\n", "/plain.js": "#!/usr/bin/node --inspect \t\n",
		"/tabs": "#!\t/bin/sh\t-e\t\n", "/bare": "#!/bin/sh", "/loop": "#!/loop\n", "/empty": "#!\n", "/relative": "#!node\n",
		"/gone": "#!/nowhere\n", "/long": "#!/" + strings.Repeat("a", HeadSize-3), "/twice": "#!/node.js\n",
		"/wide": "#!/bin/sh " + strings.Repeat("a", HeadSize-10),
		"/set":  "#!/usr/bin/env -S NODE_OPTIONS=--inspect PATH=/opt node\n",
	}
	head := func(path string) ([]byte, error) {
		text, ok := files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	for name, c := range map[string]struct {
		argv          string
		want, options string
		err           string
	}{
		"program":             {argv: "/usr/bin/node /app.js", want: "/usr/bin/node /app.js", options: "--title=a"},
		"script":              {argv: "/plain.js x", want: "/usr/bin/node --inspect /plain.js x", options: "--title=a"},
		"tabs":                {argv: "/tabs", want: "/bin/sh -e /tabs", options: "--title=a"},
		"without-newline":     {argv: "/bare", want: "/bin/sh /bare", options: "--title=a"},
		"long-argument":       {argv: "/wide", want: "/bin/sh " + strings.Repeat("a", HeadSize-10) + " /wide", options: "--title=a"},
		"by-env":              {argv: "/node.js x", want: "/usr/bin/node /node.js x", options: "--title=a"},
		"by-env-split":        {argv: "/split.js x", want: "/usr/bin/node --disable-sigusr1 /split.js x", options: "--title=a"},
		"env-sets":            {argv: "/set", want: "/opt/node /set", options: "--inspect"},
		"interpreted-twice":   {argv: "/twice", want: "/usr/bin/node /node.js /twice", options: "--title=a"},
		"env-in-command":      {argv: "/usr/bin/env A=b NODE_OPTIONS=--x node /app.js", want: "/usr/bin/node /app.js", options: "--x"},
		"env-unsets":          {argv: "/usr/bin/env -u NODE_OPTIONS /usr/bin/node", want: "/usr/bin/node"},
		"env-unsets-long":     {argv: "/usr/bin/env --unset=NODE_OPTIONS -v -- /usr/bin/node", want: "/usr/bin/node"},
		"env-empties":         {argv: "/usr/bin/env - PATH=/usr/bin node", want: "/usr/bin/node"},
		"env-split-long":      {argv: "/usr/bin/env --split-string=node", want: "/usr/bin/node", options: "--title=a"},
		"env-without-path":    {argv: "/usr/bin/env -i node", err: "is not absolute"},
		"env-without-program": {argv: "/usr/bin/env A=b", err: "env has no program"},
		"env-of-unknown":      {argv: "/usr/bin/env --chdir=/ node", err: "hides the program"},
		"env-split-nothing":   {argv: "/usr/bin/env -S", err: "env -S has no string"},
		"env-unset-nothing":   {argv: "/usr/bin/env -u", err: "env -u has no name"},
		"env-split-quotes":    {argv: "/usr/bin/env -S'node'", err: "quotes or escapes"},
		"env-not-found":       {argv: "/usr/bin/env deno", err: "in no folder of PATH"},
		"env-relative":        {argv: "/usr/bin/env ./node", err: "has no absolute path"},
		"missing":             {argv: "/nowhere", err: "/nowhere: file does not exist"},
		"missing-interpreter": {argv: "/gone", err: "/nowhere: file does not exist"},
		"not-absolute":        {argv: "node", err: "has no absolute path"},
		"relative":            {argv: "/relative", err: "has no absolute path"},
		"nothing":             {argv: "", err: "has no absolute path"},
		"empty-line":          {argv: "/empty", err: "names no interpreter"},
		"too-long":            {argv: "/long", err: "too long"},
		"loop":                {argv: "/loop", err: "more than 5 interpreters"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Resolve(strings.Fields(c.argv), []string{"PATH=/nowhere:/usr/bin", "NODE_OPTIONS=--x", "NODE_OPTIONS=--title=a"}, head)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "cannot tell which program runs: ") {
					t.Errorf("got %+v, %v; want %q", got, err, c.err)
				}
				return
			}
			if err != nil || strings.Join(got.Argv, " ") != c.want || got.Options != c.options {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
