// SPDX-License-Identifier: Apache-2.0

package users

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// passwd has lines that some reader takes for root, another user or no user.
const passwd = "root:x:0:0:root:/root:/bin/sh\n" +
	"gateway:x:9001:9001::/var/lib/gateway:/bin/false\n" +
	"sandbox:x:9002:9002:agent:/sandbox:\n" +
	"noshell:x:9003:9003::home:\n" +
	"toor:x:0:0::/:/bin/sh\n" +
	"nogid:x:9004:0::/:\n" +
	"empty:x::9001::/:\n" +
	"letters:x:abc:9001::/:\n" +
	"short:x:9005\n" +
	"big:x:4294967296:9001::/:\n" +
	"minus:x:-1:9001::/:\n" +
	"zeros:x:007:9001::/:\n" +
	"twice:x:9006:9006::/:/bin/sh\n" +
	"twice:x:9007:9007::/:/bin/sh\n" +
	"bare\n" +
	"\n" +
	"ingroup0:x:9008:9008::/:/bin/sh\n" +
	"samea:x:9010:9010::/:\n" +
	"sameb:x:9010:9011::/:\n" +
	" spaced:x:9012:9012::/:\n" +
	"trimmed:x:9013:9013::/:\n" +
	"\ttrimmed:x:9014:9014::/:\n" +
	"long:x:9015:9015::/::\n" +
	"crlf:x:9016:9016::/:/bin/sh\r\n" +
	"nul:x:9017:9017::/\x00:\n" +
	"#note:x:9018:9018::/:\n" +
	"plus:x:+9:9019::/:\n" +
	"nothing:x:9020:::/:\n" +
	"spacegroup:x:9021:9021::/:\n" +
	"twogroup:x:9022:9022::/:\n" +
	"biggroup:x:9023:9023::/:\n" +
	":x:9024:9024::/:\n" +
	"beyond:x:2147483648:1::/:\n" +
	"last:x:2147483647:2147483647::/:"

const group = "root:x:0:ingroup0\n" +
	"gateway:x:9001:\n" +
	"shared:x:9100:gateway,sandbox\n" +
	"zz:x:9050:gateway\n" +
	"again:x:9050:gateway\n" +
	"broken:x\n" +
	"wide:x:9060::\n" +
	"zero:x:09:\n" +
	" lead:x:9061:spacegroup\n" +
	"two:x:9062:twogroup\n" +
	"two:x:9063:\n" +
	"big:x:2147483648:biggroup\n" +
	"digits:x:9064:5000\n"

func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want User
	}{
		"by-name":          {"gateway", User{"gateway", 9001, 9001, []uint32{9001, 9050, 9100}, "/var/lib/gateway", "/bin/false"}},
		"by-uid":           {"9001", User{"gateway", 9001, 9001, []uint32{9001, 9050, 9100}, "/var/lib/gateway", "/bin/false"}},
		"default-shell":    {"sandbox", User{"sandbox", 9002, 9002, []uint32{9002, 9100}, "/sandbox", "/bin/sh"}},
		"relative-home":    {"noshell", User{"noshell", 9003, 9003, []uint32{9003}, "/", "/bin/sh"}},
		"other-group":      {"sandbox:gateway", User{"sandbox", 9002, 9001, []uint32{9001, 9100}, "/sandbox", "/bin/sh"}},
		"other-group-id":   {"sandbox:4711", User{"sandbox", 9002, 4711, []uint32{4711, 9100}, "/sandbox", "/bin/sh"}},
		"uid-and-group":    {"9002:zz", User{"sandbox", 9002, 9050, []uint32{9050, 9100}, "/sandbox", "/bin/sh"}},
		"numbers-no-entry": {"5000:5001", User{"5000", 5000, 5001, []uint32{5001}, "/", "/bin/sh"}},
		"named-group":      {"5000:zz", User{"5000", 5000, 9050, []uint32{9050}, "/", "/bin/sh"}},
		"largest":          {"last", User{"last", maxID, maxID, []uint32{maxID}, "/", "/bin/sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Resolve(c.spec, strings.NewReader(passwd), strings.NewReader(group))
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != c.want.Name || got.UID != c.want.UID || got.GID != c.want.GID || got.Home != c.want.Home ||
				got.Shell != c.want.Shell || !slices.Equal(got.Groups, c.want.Groups) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"missing":          {"nobody", `cannot use user "nobody": /etc/passwd has no line for "nobody": add one to the image`},
		"typo":             {"gatway", `/etc/passwd has no line for "gatway": add one to the image, or write "gateway"`},
		"typo-of-group":    {"sandbox:gatway", `/etc/group has no line for "gatway": add one to the image, or write "gateway"`},
		"root-by-name":     {"root", `cannot use user "root": /etc/passwd:1: its uid is refused: 0 is root, which is never used here: name another`},
		"root-by-uid":      {"0", "0 is root"},
		"root-by-uid-gid":  {"0:0", "0 is root"},
		"root-gid-given":   {"5000:0", "0 is root"},
		"root-renamed":     {"toor", "/etc/passwd:5: its uid is refused: 0 is root"},
		"root-group":       {"nogid", "/etc/passwd:6: its gid is refused: 0 is root"},
		"root-gid-of-line": {"nogid:gateway", "/etc/passwd:6: its gid is refused: 0 is root"},
		"root-group-given": {"sandbox:0", "0 is root"},
		"root-group-named": {"sandbox:root", "/etc/group:1: its gid is refused: 0 is root"},
		"member-of-root":   {"ingroup0", "/etc/group:1: its gid is refused: 0 is root"},
		"empty-uid":        {"empty", `/etc/passwd:7: its uid is refused: "" is not a number from 1 to 2147483647: correct the line`},
		"empty-gid":        {"nothing", `its gid is refused: "" is not a number`},
		"letters":          {"letters", `"abc" is not a number`},
		"short-line":       {"short", "/etc/passwd:9: it has 3 fields, not 7: correct the line"},
		"long-line":        {"long", "8 fields, not 7"},
		"bare-line":        {"bare", "/etc/passwd:15: it has 1 fields"},
		"beyond-32-bits":   {"big", `"4294967296" is not a number`},
		"beyond-31-bits":   {"beyond", `"2147483648" is not a number`},
		"negative":         {"minus", `"-1" is not a number`},
		"plus":             {"plus", `"+9" is not a number`},
		"leading-zero":     {"zeros", `"007" is not a number`},
		"two-lines":        {"twice", `/etc/passwd:13 and /etc/passwd:14 both have "twice": remove one`},
		"two-uids":         {"9010", `/etc/passwd:18 and /etc/passwd:19 both have "9010": remove one`},
		"one-is-trimmed":   {"trimmed", "/etc/passwd:21: it can be read in two ways"},
		"spaced":           {"spaced", "has no line for"},
		"spaced-by-uid":    {"9012", `" spaced" is no name`},
		"spaced-itself":    {" spaced", `" spaced" is no name`},
		"comment":          {"#note", `"#note" is no name`},
		"no-name":          {"9024", `/etc/passwd:32: "" is no name`},
		"crlf":             {"crlf", "/etc/passwd:24: it holds a control character: correct the line"},
		"nul":              {"nul", "it holds a control character"},
		"empty":            {"", "it is not NAME, NAME:GROUP, UID or UID:GID"},
		"empty-name":       {":gateway", "it is not NAME"},
		"empty-group":      {"sandbox:", "it is not NAME"},
		"three-parts":      {"sandbox:gateway:x", "it is not NAME"},
		"missing-group":    {"sandbox:none", `/etc/group has no line for "none": add one to the image`},
		"broken-group":     {"sandbox:broken", "/etc/group:6: it has 2 fields, not 4"},
		"wide-group":       {"sandbox:wide", "it has 5 fields, not 4"},
		"group-zero-first": {"sandbox:zero", `its gid is refused: "09" is not a number`},
		"group-twice":      {"sandbox:two", `/etc/group:10 and /etc/group:11 both have "two": remove one`},
		"member-twice":     {"twogroup", `both have "two": remove one`},
		"member-spaced":    {"spacegroup", `/etc/group: the line of group "lead" has spaces around it: remove them`},
		"member-too-big":   {"biggroup", `/etc/group:12: its gid is refused: "2147483648" is not a number`},
		"uid-no-entry":     {"5000", `/etc/passwd has no line for "5000": add one to the image, or give UID:GID`},
		"no-entry-group":   {"5000:none", "/etc/group has no line for"},
		"uid-too-big":      {"2147483648:1", "is not a number"},
		"uid-zero-first":   {"09001", `"09001" is not a number`},
		"gid-too-big":      {"5000:4294967297", "is not a number"},
		"long-name":        {strings.Repeat("a", 5000), "has no line for"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := Resolve(c.spec, strings.NewReader(passwd), strings.NewReader(group))
			switch {
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got %+v, %v; want %q", u, err, c.want)
			case strings.Contains(err.Error(), "\n") || len(err.Error()) > 400:
				t.Errorf("not one short line: %v", err)
			case u.UID != 0 || u.GID != 0 || u.Groups != nil || u.Name != "":
				t.Errorf("a refusal with a user: %+v", u)
			}
		})
	}
}

func TestResolveBounds(t *testing.T) {
	groups := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "g%d:x:%d:gateway\n", i, 20000+i)
		}
		return b.String()
	}
	huge := strings.Repeat("x", maxFile+1)
	for name, c := range map[string]struct {
		passwd, group io.Reader
		want          string // "" is success
	}{
		"most-groups":     {strings.NewReader(passwd), strings.NewReader(groups(maxGroups)), ""},
		"too-many-groups": {strings.NewReader(passwd), strings.NewReader(groups(maxGroups + 1)), "it is a member of 65 groups in /etc/group (accepted: at most 64)"},
		"huge-passwd":     {strings.NewReader(huge), strings.NewReader(group), "/etc/passwd: it is more than 1048576 bytes"},
		"huge-group":      {strings.NewReader(passwd), strings.NewReader(huge), "/etc/group: it is more than 1048576 bytes"},
		"broken-passwd":   {iotest.ErrReader(errors.New("bad disk")), strings.NewReader(group), "cannot look up users in /etc/passwd: bad disk"},
		"long-line":       {strings.NewReader(huge[:1<<17] + "\n" + passwd), strings.NewReader(group), "cannot read /etc/passwd: bufio.Scanner: token too long"},
		"long-group-line": {strings.NewReader(passwd), strings.NewReader(huge[:maxFile]), "cannot read /etc/group: bufio.Scanner: token too long"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := Resolve("gateway", c.passwd, c.group)
			if c.want == "" && err == nil && len(u.Groups) == maxGroups+1 {
				return
			}
			if c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", u, err, c.want)
			}
		})
	}
}

func TestDistinct(t *testing.T) {
	person := func(name string, id uint32, groups ...uint32) User {
		return User{Name: name, UID: id, GID: id, Groups: append([]uint32{id}, groups...)}
	}
	g, s, o := person("gateway", 1, 9), person("sandbox", 2, 9), person("operator", 3)
	sameUID, samePrimary := person("sandbox", 2), person("sandbox", 2)
	sameUID.UID, samePrimary.GID = 1, 1
	for name, c := range map[string]struct {
		gateway, sandbox, operator User
		want                       string
	}{
		"apart":               {g, s, o, ""},
		"same-uid":            {g, sameUID, o, `cannot separate users "gateway" and "sandbox": both are uid 1: give each its own in /etc/passwd, or name another in gateway.user or sandbox.user`},
		"operator-is-gateway": {g, s, person("gateway", 1), `"gateway" and "gateway": both are uid 1`},
		"operator-is-sandbox": {g, s, s, `"sandbox" and "sandbox": both are uid 2`},
		"sandbox-in-group":    {g, person("sandbox", 2, 1), o, `"sandbox" is in the gateway's primary group 1: take it out`},
		"sandbox-primary":     {g, samePrimary, o, `"sandbox" is in the gateway's primary group 1`},
		"operator-in-group":   {g, s, person("operator", 3, 1), `"operator" is in the gateway's primary group 1`},
	} {
		t.Run(name, func(t *testing.T) {
			err := Distinct(c.gateway, c.sandbox, c.operator)
			if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestSeparate checks that Separate gives all three, or the first refusal.
func TestSeparate(t *testing.T) {
	db := &Database{passwd: []byte("g:x:1:1::/g:\ns:x:2:2::/s:\no:x:3:3::/o:\n"), group: []byte("g:x:1:\ns:x:2:\no:x:3:\n")}
	g, s, o, err := db.Separate("g", "2", "o")
	if err != nil || g.UID != 1 || s.UID != 2 || o.UID != 3 || o.Home != "/o" {
		t.Errorf("got %+v %+v %+v, %v", g, s, o, err)
	}
	for name, c := range map[string]struct{ specs, want string }{
		"gateway-missing":  {"x s o", `cannot use user "x" of gateway.user: `},
		"operator-missing": {"g s x", `cannot use user "x" of operator.user: `},
		"operator-root":    {"g s 0", `cannot use user "0" of operator.user: 0 is root`},
		"same":             {"g s s", "both are uid 2"},
		"gateway-overflow": {"65534:1 s o", `cannot use user "65534" of gateway.user: the kernel shows uid 65534`},
	} {
		spec := strings.Fields(c.specs)
		if _, _, _, err := db.Separate(spec[0], spec[1], spec[2]); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// FuzzResolve checks that nothing resolves to root or out of range, whatever the
// files hold, and that a name resolves by exactly one line.
func FuzzResolve(f *testing.F) {
	f.Add("gateway", passwd, group)
	f.Add("9001", passwd, group)
	f.Add("5000:5001", "", "")
	f.Add("a:b", "a:x:1:2:::\n", "b:x:3:a\n")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		u, err := Resolve(spec, strings.NewReader(passwd), strings.NewReader(group))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		for _, id := range append([]uint32{u.UID, u.GID}, u.Groups...) {
			if id == 0 || id > maxID {
				t.Fatalf("%q resolves to %+v", spec, u)
			}
		}
		if !strings.HasPrefix(u.Home, "/") || u.Shell == "" || !slices.Contains(u.Groups, u.GID) || !slices.IsSorted(u.Groups) {
			t.Fatalf("%q resolves to an incomplete %+v", spec, u)
		}
		name, _, hasGroup := strings.Cut(spec, ":")
		if n := matching(passwd, name); n != 1 && (n != 0 || !isNumber(name) || !hasGroup) {
			t.Fatalf("%q resolves to %+v although %d lines match", spec, u, n)
		}
	})
}

// matching counts the raw lines for a name or uid, in the plainest way.
func matching(passwd, name string) (n int) {
	column := 0
	if isNumber(name) {
		column = 2
	}
	for _, l := range strings.Split(passwd, "\n") {
		if f := strings.Split(l, ":"); len(f) > column && f[column] == name {
			n++
		}
	}
	return n
}
