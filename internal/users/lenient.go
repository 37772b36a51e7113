// SPDX-License-Identifier: Apache-2.0

package users

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
)

// maxLenient bounds the files of Lenient, in bytes. Some images list whole companies.
const maxLenient = 64 << 20

// IDs are the ids of the process that calls Lenient.
type IDs struct{ UID, GID uint32 }

// LoadLenient reads the files for Lenient. Neither has to exist.
func LoadLenient() (*Database, error) { return loadLenient("") }

func loadLenient(unsafeRoot string) (*Database, error) {
	db := &Database{}
	for path, to := range map[string]*[]byte{passwdPath: &db.passwd, groupPath: &db.group} {
		data, err := readFile(unsafeRoot+path, maxLenient)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot look up users: %w", err)
		}
		*to = data
	}
	return db, nil
}

// Lenient resolves a user as gosu does, which plain mode replaces. Of several lines the
// first one counts, fields may be missing, and a uid needs no entry. Nothing is separated
// there, and the image's other tools read the files in the same way. Root is refused here
// as well, unless it is the group of a caller who is that user already. A malformed number
// is root to the parser.
func (db *Database) Lenient(spec string, caller IDs) (User, error) {
	u, err := db.lenient(spec, caller)
	if err != nil {
		return User{}, fmt.Errorf("cannot use user %.64q: %w", spec, err)
	}
	return u, nil
}

func (db *Database) lenient(spec string, caller IDs) (User, error) {
	name, group, _ := strings.Cut(spec, ":")
	if name == "" || strings.Contains(group, ":") {
		return User{}, errForm
	}
	entries, err := user.ParsePasswdFilter(bytes.NewReader(db.passwd), func(e user.User) bool {
		return !isNumber(name) && e.Name == name || isNumber(name) && strconv.Itoa(e.Uid) == name
	})
	if err != nil {
		return User{}, fmt.Errorf("cannot read %s: %w", passwdPath, err)
	}
	missing := func() error { return &missingError{passwdPath, name, nearName(db.passwd, name)} }
	u, uid, gid := fromEntry(user.User{Name: name}, 0, 0), name, group
	switch {
	case len(entries) > 0:
		u, uid = fromEntry(entries[0], 0, 0), strconv.Itoa(entries[0].Uid)
		if group == "" {
			gid = strconv.Itoa(entries[0].Gid)
		}
	case !isNumber(name):
		return User{}, missing()
	}
	if u.UID, err = id(uid); err != nil {
		return User{}, err
	}
	switch {
	case caller == IDs{u.UID, 0} && (gid == "" || gid == "0"): // the caller is that user already
	case gid != "":
		u.GID, err = db.lenientGroup(gid)
	case caller.GID == 0: // gosu would run it in root's group
		err = fmt.Errorf("%w, or give UID:GID", missing())
	default:
		u.GID = caller.GID
	}
	if u.Groups = []uint32{u.GID}; err == nil && len(entries) > 0 {
		err = db.lenientGroups(&u)
	}
	return u, err
}

// fromEntry returns the user of an entry with these ids.
func fromEntry(e user.User, uid, gid uint32) User {
	u := User{Name: e.Name, UID: uid, GID: gid, Home: e.Home, Shell: e.Shell}
	if !strings.HasPrefix(u.Home, "/") {
		u.Home = "/"
	}
	if u.Shell == "" {
		u.Shell = defaultShell
	}
	return u
}

// lenientGroup returns the gid of the first group with this name.
func (db *Database) lenientGroup(name string) (uint32, error) {
	if isNumber(name) {
		return id(name)
	}
	entries, err := user.ParseGroupFilter(bytes.NewReader(db.group), func(g user.Group) bool { return g.Name == name })
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", groupPath, err)
	}
	if len(entries) == 0 {
		return 0, &missingError{groupPath, name, nearName(db.group, name)}
	}
	return id(strconv.Itoa(entries[0].Gid))
}

// lenientGroups adds the groups that name u as a member. There may be as many as the
// kernel takes.
func (db *Database) lenientGroups(u *User) error {
	entries, err := user.ParseGroupFilter(bytes.NewReader(db.group), func(g user.Group) bool { return slices.Contains(g.List, u.Name) })
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", groupPath, err)
	}
	have := map[uint32]bool{u.GID: true}
	for _, g := range entries {
		gid, err := id(strconv.Itoa(g.Gid))
		if err != nil {
			return fmt.Errorf("it is a member of group %.64q in %s: %w", g.Name, groupPath, err)
		}
		if !have[gid] {
			have[gid] = true
			u.Groups = append(u.Groups, gid)
		}
	}
	if len(u.Groups) > maxKernelGroups {
		return fmt.Errorf("it is a member of %d groups in %s (accepted: at most %d)", len(u.Groups), groupPath, maxKernelGroups)
	}
	return nil
}

// maxKernelGroups is the most groups that setgroups(2) takes.
const maxKernelGroups = 65536
