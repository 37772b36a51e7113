// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/image/profiles"
	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// profileSuffix follows the profile's name in the name of its file.
const profileSuffix = ".verify.json"

// keyBytes are the bytes of a key.
const keyBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// LoadProfiles reads the profiles that are part of this program. A test reads them
// too, so an error means that the program is not one that the tests accepted.
func LoadProfiles() (Profiles, error) { return loadProfiles(profiles.Files) }

func loadProfiles(files fs.FS) (all Profiles, err error) {
	names, err := fs.Glob(files, "*"+profileSuffix)
	if err == nil && len(names) == 0 {
		err = errors.New("there is none: build gatewayctl again")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read profiles: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("cannot read profiles: %w", err)
		}
		p, err := parseProfile(data)
		if err == nil && p.name+profileSuffix != name {
			err = fmt.Errorf("name: is %.40q: give it the name of the file", p.name)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read profile %s: %w", name, err)
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b profile) int { return a.order - b.order })
	return all, nil
}

// parseProfile reads one file; image/profiles describes its members.
func parseProfile(data []byte) (p profile, err error) {
	root, err := strictjson.Parse(data)
	if err != nil {
		return p, err
	}
	err = object{
		"name":         text(&p.name),
		"order":        {want: "a whole number", take: strictjson.Whole(&p.order)},
		"token_env":    text(&p.tokenEnv),
		"execute_only": flag(&p.hidden),
		"interpreter":  flag(&p.script),
		"no_compilers": flag(&p.bare),
		"device_state": texts(&p.device),
		"recognized_by": {members: object{
			"program": text(&p.by.program), "argument": text(&p.by.argument), "token_env": text(&p.by.tokenEnv),
		}},
		"own_config": {members: object{
			"file": text(&p.own.File), "token": text(&p.own.Token), "password": text(&p.own.Password),
			"mode": text(&p.own.Mode), "mode_value": text(&p.own.ModeValue), "backups": texts(&p.own.Backups),
		}},
	}.fill(root, "")
	if err != nil {
		return p, err
	}
	return p, p.check(root)
}

// object has the place of each key of an object. A place takes a value, or has the
// members of an object.
type object map[string]place

type place struct {
	want    string // in words
	take    strictjson.Take
	members object
}

func text(to *string) place { return place{want: "a string", take: strictjson.Text(to)} }

func flag(to *bool) place { return place{want: "a boolean", take: strictjson.Flag(to)} }

func texts(to *[]string) place {
	return place{want: "an array of strings", take: strictjson.List(to, strictjson.Text[string])}
}

// fill puts each member of v into its place; under is the key of v with a dot.
func (o object) fill(v *strictjson.Value, under string) error {
	if v.Kind != strictjson.Object {
		return refuse(v, "%sis %v, not an object", strings.Replace(under, ".", ": ", 1), v.Kind)
	}
	for _, m := range v.Members {
		to, known := o[m.Key]
		switch key := under + m.Key; {
		case !known:
			return fmt.Errorf("%d:%d: %.64s: unknown key", m.Line, m.Col, key)
		case to.members != nil:
			if err := to.members.fill(m.Value, key+"."); err != nil {
				return err
			}
		case !to.take(m.Value):
			return refuse(m.Value, "%s: is %v, not %s", key, m.Value.Kind, to.want)
		}
	}
	return nil
}

func refuse(v *strictjson.Value, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %s", v.Line, v.Col, fmt.Sprintf(format, args...))
}

// check refuses a profile that would check nothing, or something else than meant.
func (p profile) check(root *strictjson.Value) error {
	own := root.Get("own_config")
	switch {
	case p.order < 1:
		return refuse(root, "order: is missing or less than 1")
	case p.by == recognition{}:
		return refuse(root, "recognized_by: is missing: give one of program, argument and token_env")
	case slices.ContainsFunc(p.device, func(name string) bool { return name == "" || path.Base(name) != name }):
		return refuse(root.Get("device_state"), "device_state: has an entry that is no name of a file")
	case own == nil:
		return nil
	case !path.IsAbs(p.own.File) || path.Clean(p.own.File) != p.own.File || p.own.File == "/":
		return refuse(own, "own_config.file: is not an absolute, clean path")
	case !isKey(p.own.Token):
		return refuse(own, "own_config.token: is no key, such as gateway.auth.token")
	case p.own.Mode != "" && !isKey(p.own.Mode) || (p.own.Mode == "") != (p.own.ModeValue == ""):
		return refuse(own, "own_config.mode: is no key, or does not have its mode_value")
	case p.own.Password != "" && !isKey(p.own.Password):
		return refuse(own, "own_config.password: is no key, such as gateway.auth.password")
	case slices.Contains(p.own.Backups, ""):
		return refuse(own, "own_config.backups: has an empty entry, which makes the file a backup of itself")
	}
	return nil
}

// isKey reports whether key has names of letters, digits, "_" and "-", with dots
// between them.
func isKey(key string) bool {
	return !slices.Contains(strings.Split(key, "."), "") && strings.Trim(key, keyBytes) == ""
}
