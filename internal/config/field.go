// SPDX-License-Identifier: Apache-2.0

package config

// field is a place in a Config, and the values that it takes. A field without its own
// bounds is the pointer to that place, as a type with these methods: (*env)(&g.Env).
type field interface {
	read(d *decoder, n node)         // the value of a file, or the default
	show(depth int) string           // the value as JSON, or "" without one
	manual() (kind, accepted string) // the columns of the manual
}

// limited is a field with a further rule for the manual. finish enforces the rule, or
// the reader of the object that has the key.
type limited struct {
	field
	rule string
}

func (f *limited) manual() (kind, accepted string) {
	kind, accepted = f.field.manual()
	return kind, accepted + "; " + f.rule
}

// read does not ask for the keys that the object needs, because the object itself may
// be missing. finish does.
func (t table) read(d *decoder, n node) { d.object(n, t) }

func (t table) show(depth int) string {
	var members []string
	for _, k := range t {
		if text := k.show(depth + 1); text != "" {
			members = append(members, pair(k.name, text))
		}
	}
	if members == nil {
		return ""
	}
	return group(depth, "{}", members)
}

func (t table) manual() (kind, accepted string) { return "object", "" }

// prepares is the field of a list of objects.
type prepares []Prepare

func (f *prepares) read(d *decoder, n node) {
	d.list(n, maxPrepare, func(n node) {
		var p Prepare
		if d.complete(n, p.table()); p.Path == "/" {
			d.fail(n, "path is / (accepted: an absolute path below it)")
		}
		*f = append(*f, p)
	})
}

func (f *prepares) show(depth int) string {
	return group(depth, "[]", each(len(*f), func(i int) string { return (*f)[i].table().show(depth + 1) }))
}

func (f *prepares) manual() (kind, accepted string) { return "list of objects", "" }

// sidecars is the field of a list of objects.
type sidecars []Sidecar

func (f *sidecars) read(d *decoder, n node) {
	d.list(n, maxSidecars, func(n node) {
		var s Sidecar
		d.complete(n, s.table())
		*f = append(*f, s)
	})
}

func (f *sidecars) show(depth int) string {
	return group(depth, "[]", each(len(*f), func(i int) string { return (*f)[i].table().show(depth + 1) }))
}

func (f *sidecars) manual() (kind, accepted string) { return "list of objects", "" }

// authCheck is the field of an object that has no default.
type authCheck struct{ to **AuthCheck }

func (f *authCheck) read(d *decoder, n node) {
	*f.to = &AuthCheck{}
	d.complete(n, (*f.to).table())
	(*f.to).check(d, n)
}

func (f *authCheck) show(depth int) string {
	if *f.to == nil {
		return ""
	}
	return (*f.to).table().show(depth)
}

func (f *authCheck) manual() (kind, accepted string) { return "object", "" }
