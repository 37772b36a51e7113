// SPDX-License-Identifier: Apache-2.0

package program

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// elf returns an ELF file for a processor, with an interpreter unless that is "".
func elf(machine uint16, bigEndian bool, interpreter string) string {
	h := make([]byte, 64+2*56)
	copy(h, "\x7fELF\x02\x01\x01")
	var order binary.ByteOrder = binary.LittleEndian
	if bigEndian {
		h[5], order = 2, binary.BigEndian
	}
	order.PutUint16(h[18:], machine)
	order.PutUint64(h[32:], 64)
	order.PutUint16(h[54:], 56)
	order.PutUint16(h[56:], 2)
	if interpreter == "" {
		return string(h)
	}
	const far = 8192 // beyond the head, as tools that rewrite programs put it
	p := h[64+56:]
	order.PutUint32(p, 3)
	order.PutUint64(p[8:], far)
	order.PutUint64(p[32:], uint64(len(interpreter)+1))
	return string(h) + strings.Repeat("\x00", far-len(h)) + interpreter + "\x00"
}

// TestExplain checks that the cause names the format of a file or its interpreter.
func TestExplain(t *testing.T) {
	own, other, otherName := uint16(62), uint16(183), "aarch64"
	if runtime.GOARCH == "arm64" {
		own, other, otherName = other, own, "x86-64"
	}
	here := machine(runtime.GOARCH)
	d := t.TempDir()
	testenv.Must(t, os.Chmod(filepath.Dir(d), 0o755))
	put := func(name, text string, mode os.FileMode) string {
		path := d + "/" + name
		testenv.Must(t, os.WriteFile(path, []byte(text), mode))
		testenv.Must(t, os.Chmod(path, mode))
		return path
	}
	foreign := put("foreign", elf(other, false, ""), 0o755)
	missing, plain := d+"/missing", put("plain", "x", 0o644)
	script := put("script", "#!"+missing+" -x\necho\n", 0o755)
	for name, c := range map[string]struct {
		path  string
		errno syscall.Errno
		want  string
	}{
		"foreign":             {foreign, unix.ENOEXEC, "it is a program for " + otherName + ", and this machine is " + here},
		"foreign-big-endian":  {put("s390", elf(22, true, ""), 0o755), unix.ENOEXEC, "it is a program for s390x, and this machine is " + here},
		"foreign-unknown":     {put("unknown", elf(999, false, ""), 0o755), unix.ENOEXEC, "it is a program for processor 999 of elf.h, and this machine is " + here},
		"nothing-known":       {foreign, unix.EACCES, ""},
		"no-loader-32-bit":    {put("i386", elf(3, false, ""), 0o755), unix.ENOENT, "it is a program for i386, and its loader is missing"},
		"no-interpreter":      {script, unix.ENOENT, `its interpreter "` + missing + `": no such file or directory`},
		"line-end-of-windows": {put("crlf", "#!/bin/sh\r\necho\n", 0o755), unix.ENOENT, `its interpreter "/bin/sh\r": no such file or directory`},
		"no-loader":           {put("dynamic", elf(own, false, missing), 0o755), unix.ENOENT, `its interpreter "` + missing + `": no such file or directory`},
		"closed-interpreter":  {put("closed", "#!"+plain+"\n", 0o755), unix.EACCES, `its interpreter "` + plain + `" has mode 0644: chmod a+x it`},
		"interpreter-is-dir":  {put("dir", "#!"+d+"\n", 0o755), unix.EACCES, `its interpreter "` + d + `" is a directory`},
		"interpreter-foreign": {put("other", "#! "+foreign+"\n", 0o755), unix.ENOEXEC, `its interpreter "` + foreign + `" is a program for ` + otherName + ", and this machine is " + here},
		"two-interpreters":    {put("second", "#!"+script+"\n", 0o755), unix.ENOENT, `its interpreter "` + missing + `": no such file or directory`},
		"its-own-interpreter": {put("self", "#!"+d+"/self\n", 0o755), unix.ELOOP, "it has too many interpreters"},
		"no-name":             {put("noname", "#! \n", 0o755), unix.ENOEXEC, "it is a script whose first line names no interpreter"},
		"text":                {put("text", "echo a\n", 0o755), unix.ENOEXEC, `it is text without a first line such as "#!/bin/sh"`},
		"empty":               {put("empty", "", 0o755), unix.ENOEXEC, "it is an empty file"},
		"cut":                 {put("cut", "\x7fELF\x02\x01\x01", 0o755), unix.ENOEXEC, "it is a damaged ELF file"},
		"own-but-damaged":     {put("own", elf(own, false, ""), 0o755), unix.ENOEXEC, "it is a damaged ELF file"},
		"windows":             {put("exe", "MZ\x90\x00", 0o755), unix.ENOEXEC, "it is a program for Windows"},
		"macos":               {put("macho", "\xcf\xfa\xed\xfe\x07\x00", 0o755), unix.ENOEXEC, "it is a program for macOS or a Java class"},
		"binary":              {put("binary", "a\x00b", 0o755), unix.ENOEXEC, "it is no program: its format is unknown"},
		"absent":              {d + "/absent", unix.ENOENT, ""},
		"not-executable":      {plain, unix.EACCES, "it has mode 0644: chmod a+x it"},
		"for-its-owner-only":  {put("own-only", "#!/bin/sh\n", 0o700), unix.EACCES, "it has mode 0700: chmod a+x it"},
		"directory":           {d, unix.EACCES, "it is a directory"},
		"device":              {"/dev/null", unix.EACCES, "it is no regular file"},
		"open-for-writing":    {script, unix.ETXTBSY, "another process has it open for writing"},
	} {
		if got := Explain(c.path, c.errno, false); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	testenv.Must(t, os.Chmod(script, 0o757))
	if got := Explain(script, unix.ENOENT, true); got != "" {
		t.Errorf("text of a file that others can write: %q", got)
	}
	testenv.Must(t, unix.Mkfifo(d+"/fifo", 0o755))
	if got := Explain(d+"/fifo", unix.EACCES, false); got != "it is no regular file" {
		t.Errorf("a FIFO: %q", got)
	}
}

// TestExplainMounts checks the causes that are not in the file itself.
func TestExplainMounts(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, unix.Mount("none", "/mnt", "tmpfs", unix.MS_NOEXEC, "mode=0755"))
	testenv.Must(t, os.WriteFile("/mnt/program", []byte("#!/bin/sh\n"), 0o755))
	testenv.Must(t, os.MkdirAll("/srv/closed/bin", 0o755))
	defer os.RemoveAll("/srv/closed")
	testenv.Must(t, os.WriteFile("/srv/closed/bin/program", []byte("#!/bin/sh\n"), 0o755))
	testenv.Must(t, os.WriteFile("/srv/closed/bin/uses", []byte("#!/mnt/program\n"), 0o755))
	for path, want := range map[string]string{
		"/mnt/program":            "it is on a file system that is mounted noexec",
		"/srv/closed/bin/uses":    `its interpreter "/mnt/program" is on a file system that is mounted noexec`,
		"/srv/closed/bin/program": "",
	} {
		if got := Explain(path, unix.EACCES, true); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	testenv.Must(t, os.Chmod("/srv/closed", 0o700))
	if got := Explain("/srv/closed/bin/program", unix.EACCES, true); got != "it is below /srv/closed, which belongs to root and has mode 0700" {
		t.Errorf("got %q", got)
	}
}

// TestMissing checks which names look like a command line.
func TestMissing(t *testing.T) {
	for name, want := range map[string]bool{
		"/bin/sh -c 'echo a'": true, "echo a": true, "A=b": true, "A=b env": true,
		"echo": false, "/opt/a=b": false, "": false, "=": true,
	} {
		if got := Missing(name); (got != "") != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// TestIsText checks what a shell may run.
func TestIsText(t *testing.T) {
	path := t.TempDir() + "/file"
	for text, want := range map[string]bool{
		"echo a\n": true, "": true, "caf\xe9\n": true, "echo\n\x00binary": true,
		"#!/bin/sh\n": false, "\x7fELF\x02\x01\x01\x00": false, "\x7fELFx": false, "a\x00b\n": false, "MZ\x90\x00": false,
	} {
		testenv.Must(t, os.WriteFile(path, []byte(text), 0o755))
		if got := IsText(path); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if IsText("/dev/null") || IsText("/no/such/file") {
		t.Error("no file is text")
	}
}

// FuzzExplain checks that any file gives one short line that can be printed.
func FuzzExplain(f *testing.F) {
	for _, text := range []string{"", "#!/bin/sh\n", "#!\n", elf(62, false, "/lib/ld"), elf(22, true, ""), "MZ"} {
		f.Add(text)
	}
	path := f.TempDir() + "/file"
	f.Fuzz(func(t *testing.T, text string) {
		testenv.Must(t, os.WriteFile(path, []byte(text), 0o755))
		IsText(path)
		for _, errno := range []syscall.Errno{unix.ENOENT, unix.ENOEXEC} {
			got := Explain(path, errno, false)
			if len(got) > 1200 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q", got)
			}
		}
	})
}
