// SPDX-License-Identifier: Apache-2.0

// Package users resolves the accounts of the configuration from /etc/passwd and
// /etc/group. It fails closed. github.com/moby/sys/user parses the files, but takes a
// malformed number for uid 0 and lets any out-of-range number pass, so the line that
// it used is checked again as text. There is no fallback to root or to another
// account, whatever the files hold.
package users

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
)

// User is an account, ready for setgroups(2), setgid(2) and setuid(2). All ids
// are 1 to 2^31-1.
type User struct {
	Name     string // the number as text where there is no entry
	UID, GID uint32
	Groups   []uint32 // supplementary, sorted; the primary one is in it
	Home     string   // absolute
	Shell    string
}

const maxGroups = 64

// Resolve does the same as Database.Resolve for two readers. It reads at most 1 MiB
// of each.
func Resolve(spec string, passwd, group io.Reader) (User, error) {
	db := &Database{}
	for _, f := range []struct {
		name string
		from io.Reader
		to   *[]byte
	}{{passwdPath, passwd, &db.passwd}, {groupPath, group, &db.group}} {
		data, err := io.ReadAll(io.LimitReader(f.from, maxFile+1))
		if err == nil && len(data) > maxFile {
			err = fmt.Errorf("it is more than %d bytes", maxFile)
		}
		if err != nil {
			return User{}, fmt.Errorf("cannot look up users in %s: %w", f.name, err)
		}
		*f.to = data
	}
	return db.Resolve(spec)
}

// Resolve looks up NAME, NAME:GROUP, UID or UID:GID; digits are always an id.
// A UID without an entry needs a GID, has no other groups and gets HOME=/. Root
// is refused, as user and as group.
func (db *Database) Resolve(spec string) (User, error) {
	u, err := db.resolve(spec)
	if err != nil {
		return User{}, fmt.Errorf("cannot use user %.64q: %w", spec, err)
	}
	return u, nil
}

var errForm = errors.New("it is not NAME, NAME:GROUP, UID or UID:GID")

// ResolveKey does the same as Resolve for the value of a key of the configuration, which
// the error names.
func (db *Database) ResolveKey(key, spec string) (User, error) {
	u, err := db.resolve(spec)
	if err != nil {
		return User{}, fmt.Errorf("cannot use user %.64q of %s: %w", spec, key, err)
	}
	return u, nil
}

func (db *Database) resolve(spec string) (User, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	if name == "" || hasGroup && group == "" || strings.Contains(group, ":") {
		return User{}, errForm
	}
	u, err := db.account(name)
	var missing *missingError
	if errors.As(err, &missing) && isNumber(name) {
		return db.withoutEntry(name, group, err)
	}
	if err != nil {
		return User{}, err
	}
	if hasGroup {
		if u.GID, err = db.groupID(group); err != nil {
			return User{}, err
		}
	}
	u.Groups, err = db.groups(u)
	return u, err
}

// withoutEntry returns the user of a uid that passwd does not know.
func (db *Database) withoutEntry(name, group string, missing error) (User, error) {
	if group == "" {
		return User{}, fmt.Errorf("%w, or give UID:GID", missing)
	}
	uid, err := id(name)
	if err != nil {
		return User{}, err
	}
	gid, err := db.groupID(group)
	if err != nil {
		return User{}, err
	}
	return User{Name: name, UID: uid, GID: gid, Groups: []uint32{gid}, Home: "/", Shell: defaultShell}, nil
}

// Self returns the user of this process, for a process without root. The ids are the
// kernel's. The name, home and shell are those of the uid's entry in passwd, if there
// is a usable one; otherwise home stands in for the entry's home. The gid may be 0,
// as engines give it to a uid without an entry.
func Self(home string) (User, error) {
	groups, err := os.Getgroups()
	if err != nil {
		return User{}, fmt.Errorf("cannot read our groups: %w", err)
	}
	uid := os.Getuid()
	if uid == 0 || uid != os.Geteuid() || os.Getgid() != os.Getegid() {
		return User{}, fmt.Errorf("cannot run with uid %d and effective uid %d: take the setuid bits off gateway-init", uid, os.Geteuid())
	}
	u := User{Name: strconv.Itoa(uid), UID: uint32(uid), GID: uint32(os.Getgid()), Home: "/", Shell: defaultShell}
	for _, g := range groups {
		u.Groups = append(u.Groups, uint32(g))
	}
	if strings.HasPrefix(home, "/") {
		u.Home = home
	}
	db, err := Load()
	if err != nil {
		return u, nil // without the files there are no names
	}
	if entry, err := db.account(u.Name); err == nil {
		u.Name, u.Home, u.Shell = entry.Name, entry.Home, entry.Shell
	}
	return u, nil
}

const defaultShell = "/bin/sh" // passwd(5): an empty field means this

// account returns the passwd entry with this name or uid.
func (db *Database) account(name string) (User, error) {
	column := 0
	if isNumber(name) {
		if _, err := id(name); err != nil {
			return User{}, err
		}
		column = 2
	}
	l, err := find(db.passwd, passwdPath, column, name, 7)
	if err != nil {
		return User{}, err
	}
	uid, err := l.id(2, "uid")
	if err != nil {
		return User{}, err
	}
	gid, err := l.id(3, "gid")
	if err != nil {
		return User{}, err
	}
	// The library trims and skips where we do not, so both readings must agree.
	entries, err := user.ParsePasswdFilter(bytes.NewReader(db.passwd), func(e user.User) bool { return e.Name == l.fields[0] })
	if err != nil {
		return User{}, fmt.Errorf("cannot read %s: %w", passwdPath, err)
	}
	if len(entries) != 1 || entries[0].Uid != int(uid) || entries[0].Gid != int(gid) {
		return User{}, l.refuse("it can be read in two ways: remove spaces and doubles of it")
	}
	return fromEntry(entries[0], uid, gid), nil
}

func (db *Database) groupID(name string) (uint32, error) {
	if isNumber(name) {
		return id(name)
	}
	l, err := find(db.group, groupPath, 0, name, 4)
	if err != nil {
		return 0, err
	}
	return l.id(2, "gid")
}

// groups returns the primary group and those that name the user as a member.
func (db *Database) groups(u User) ([]uint32, error) {
	entries, err := user.ParseGroupFilter(bytes.NewReader(db.group), func(g user.Group) bool { return slices.Contains(g.List, u.Name) })
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", groupPath, err)
	}
	if len(entries) > maxGroups { // before each of them is looked up
		return nil, fmt.Errorf("it is a member of %d groups in %s (accepted: at most %d)", len(entries), groupPath, maxGroups)
	}
	groups := []uint32{u.GID}
	for _, g := range entries {
		l, err := find(db.group, groupPath, 0, g.Name, 4)
		var missing *missingError
		if errors.As(err, &missing) { // the library trims lines
			return nil, fmt.Errorf("%s: the line of group %.64q has spaces around it: remove them", groupPath, g.Name)
		}
		if err != nil {
			return nil, err
		}
		gid, err := l.id(2, "gid")
		if err != nil {
			return nil, err
		}
		groups = insert(groups, gid)
	}
	return groups, nil
}
