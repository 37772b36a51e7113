// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"strings"
)

// Changes to a good image, each of one thing.

// edit changes one entry of the lowest layer.
func edit(path string, how func(entry) entry) func(*fixture) {
	return func(f *fixture) {
		e, ok := f.base()[path]
		if !ok {
			panic("the fixture has no " + path)
		}
		f.base()[path] = how(e)
	}
}

func put(path string, e entry) func(*fixture) { return func(f *fixture) { f.base()[path] = e } }

func mode(path string, m uint32) func(*fixture) {
	return edit(path, func(e entry) entry { return e.with(m) })
}

func owner(path string, id uint32) func(*fixture) {
	return edit(path, func(e entry) entry { return e.owned(id) })
}

func swap(path, old, new string) func(*fixture) {
	return edit(path, func(e entry) entry { return replace(e, old, new) })
}

func remove(path string) func(*fixture) { return func(f *fixture) { delete(f.base(), path) } }

func all(changes ...func(*fixture)) func(*fixture) {
	return func(f *fixture) {
		for _, c := range changes {
			c(f)
		}
	}
}

// addedAndRemoved puts a file into one layer, and its whiteout into the next.
func addedAndRemoved(path, data string) func(*fixture) {
	return func(f *fixture) {
		dir, base := path[:strings.LastIndex(path, "/")+1], path[strings.LastIndex(path, "/")+1:]
		f.top()[path] = file(0o600, data)
		f.top()[dir+whiteout+base] = file(0, "")
	}
}

func profileOf(name string) func(*fixture) { return func(f *fixture) { f.options.Profile = name } }

func nonRoot(f *fixture) { f.options.NonRoot = true }

// script makes the demo's gateway a script.
func script(text string) func(*fixture) {
	return put("/usr/local/bin/demogateway", file(0o755, text))
}
