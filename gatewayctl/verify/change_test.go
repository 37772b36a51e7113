// SPDX-License-Identifier: Apache-2.0

package verify

import "path"

// Changes to a good image, each of one thing.

// edit changes one entry of the lowest layer.
func edit(unsafePath string, how func(entry) entry) func(*fixture) {
	return func(f *fixture) {
		e, ok := f.base()[unsafePath]
		if !ok {
			panic("the fixture has no " + unsafePath)
		}
		f.base()[unsafePath] = how(e)
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
func addedAndRemoved(unsafePath, data string) func(*fixture) {
	return func(f *fixture) {
		dir, base := path.Split(unsafePath)
		f.above(unsafePath, file(0o600, data))
		f.above(dir+whiteout+base, file(0, ""))
	}
}

// above puts an entry into a new layer, with the directories above it, as engines
// do.
func (f *fixture) above(unsafePath string, e entry) {
	l := f.top()
	l[unsafePath] = e
	for dir := path.Dir(unsafePath); dir != "/"; dir = path.Dir(dir) {
		if d, ok := f.base()[dir]; ok {
			l[dir] = d
		}
	}
}

func profileOf(name string) func(*fixture) { return func(f *fixture) { f.options.Profile = name } }

func nonRoot(f *fixture) { f.options.NonRoot = true }

// script makes the demo's gateway a script.
func script(text string) func(*fixture) {
	return put("/usr/local/bin/demogateway", file(0o755, text))
}
