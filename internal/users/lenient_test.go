// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLenient checks files that gosu takes: doubled lines, two names of one uid,
// missing fields, line ends of Windows, more groups than gateway mode takes.
func TestLenient(t *testing.T) {
	passwd := passwd + "\nsvc:x:1234:1234::/srv:/bin/sh\nsvc:x:1234:1234::/srv:/bin/sh\nother:x:1234:4321::/other:\n# a comment\n" +
		"windows:x:1235:1235::/w:/bin/sh\r\ncut:x:1236:1236\n"
	group := group + "many:x:3000:svc,svc\nsvc:x:1234:\nsvc:x:1234:\ntwo:x:9062:svc\n"
	many := []uint32{1234, 3000, 9062}
	for gid := range uint32(100) {
		group += "g" + strconv.Itoa(int(gid)) + ":x:" + strconv.Itoa(4000+int(gid)) + ":svc\n"
		many = append(many, 4000+gid)
	}
	root, same := IDs{}, IDs{5000, 77}
	with := func(primary uint32) []uint32 { return append([]uint32{primary}, many[1:]...) }
	db := &Database{[]byte(passwd), []byte(group)}
	for name, c := range map[string]struct {
		spec   string
		caller IDs
		want   User
	}{
		"doubled-line":     {"svc", root, User{"svc", 1234, 1234, many, "/srv", "/bin/sh"}},
		"shared-uid":       {"1234", root, User{"svc", 1234, 1234, many, "/srv", "/bin/sh"}},
		"numbers":          {"1234:77", root, User{"svc", 1234, 77, with(77), "/srv", "/bin/sh"}},
		"doubled-group":    {"other:svc", root, User{"other", 1234, 1234, []uint32{1234}, "/other", "/bin/sh"}},
		"group-twice":      {"other:two", root, User{"other", 1234, 9062, []uint32{9062}, "/other", "/bin/sh"}},
		"two-lines":        {"twice", root, User{"twice", 9006, 9006, []uint32{9006}, "/", "/bin/sh"}},
		"empty-group":      {"other:", root, User{"other", 1234, 4321, []uint32{4321}, "/other", "/bin/sh"}},
		"windows":          {"windows", root, User{"windows", 1235, 1235, []uint32{1235}, "/w", "/bin/sh"}},
		"cut-line":         {"cut", root, User{"cut", 1236, 1236, []uint32{1236}, "/", "/bin/sh"}},
		"spaces-around":    {"spacegroup", root, User{"spacegroup", 9021, 9021, []uint32{9021, 9061}, "/", "/bin/sh"}},
		"no-entry":         {"5000:5001", root, User{"5000", 5000, 5001, []uint32{5001}, "/", "/bin/sh"}},
		"no-entry-but-us":  {"5000", same, User{"5000", 5000, 77, []uint32{77}, "/", "/bin/sh"}},
		"us-by-entry":      {"nogid", IDs{9004, 0}, User{"nogid", 9004, 0, []uint32{0}, "/", "/bin/sh"}},
		"us-in-group-root": {"5000", IDs{5000, 0}, User{"5000", 5000, 0, []uint32{0}, "/", "/bin/sh"}},
	} {
		if got, err := db.lenient(c.spec, c.caller); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	var crowd strings.Builder
	for i := range maxKernelGroups + 1 {
		fmt.Fprintf(&crowd, "g%d:x:%d:svc\n", i, i+1)
	}
	if _, err := (&Database{[]byte(passwd), []byte(crowd.String())}).lenient("svc", root); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("too many groups: %v", err)
	}
	for _, spec := range []string{"", ":", ":svc", "a:b:c", "root", "0", "0:1", "toor", "nogid", "empty", "letters", "big", "minus", "beyond", "nothing",
		"ingroup0", "biggroup", "nobody", "svc:nobody", "svc:root", "svc:0", "5000", "-1", "007:1", "4294967296:1", "svc:2147483648", "sv"} {
		if got, err := db.lenient(spec, root); err == nil {
			t.Errorf("%q: got %+v", spec, got)
		}
	}
}

// TestLenientWithoutFiles checks an image that has one of the files, or none.
func TestLenientWithoutFiles(t *testing.T) {
	d := t.TempDir()
	testenv.Must(t, os.Mkdir(d+"/etc", 0o755))
	for _, with := range []string{"", passwdPath} {
		if with != "" {
			testenv.Must(t, os.WriteFile(d+with, []byte("svc:x:1234:1235::/srv:/bin/sh\n"+strings.Repeat("# long\n", 1<<18)), 0o644))
		}
		db, err := loadLenient(d)
		testenv.Must(t, err)
		if u, err := db.lenient("1234:1235", IDs{}); err != nil || u.UID != 1234 || u.GID != 1235 {
			t.Errorf("with %q: got %+v, %v", with, u, err)
		}
		var missing *missingError
		if u, err := db.lenient("svc", IDs{}); (err == nil) != (with != "") || err != nil && !errors.As(err, &missing) {
			t.Errorf("with %q: got %+v, %v", with, u, err)
		}
	}
	testenv.Must(t, os.Mkdir(d+groupPath, 0o755))
	if _, err := loadLenient(d); err == nil {
		t.Error("a directory is a file of groups")
	}
}

// TestWith checks that groups of the configuration come to those of /etc/group, and that
// they do not lead into the gateway's group.
func TestWith(t *testing.T) {
	u := User{UID: 2, GID: 2, Groups: []uint32{2, 9}}
	got := u.With([]int{4242, 9, 5, 5})
	if want := []uint32{2, 5, 9, 4242}; !slices.Equal(got.Groups, want) || len(u.Groups) != 2 {
		t.Errorf("got %v, want %v; before it was %v", got.Groups, want, u.Groups)
	}
	if err := Distinct(User{UID: 1, GID: 1}, u.With([]int{1}), User{UID: 3, GID: 3}); err == nil {
		t.Error("the sandbox user is in the gateway's group")
	}
	if lost := Lost([]uint32{5, 6, 7}, got, User{Groups: []uint32{7}}); lost != "6" {
		t.Errorf("lost is %q", lost)
	}
}
