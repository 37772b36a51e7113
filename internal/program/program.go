// SPDX-License-Identifier: Apache-2.0

// Package program says why the kernel does not execute a file. The errno of execve(2)
// alone misleads: ENOENT can mean an interpreter, and ENOEXEC means any file that is
// not for this machine.
package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// maxInterpreters bounds interpreters of interpreters, as the kernel does.
const maxInterpreters = 5

// IsText reports whether a shell may run a file that the kernel does not know, as
// execvp(3) lets it. It is what bash takes for text: the first line has no NUL, and it is
// no ELF file. A file with a "#!" line has an interpreter of its own.
func IsText(unsafePath string) bool {
	f, err := look(unsafePath)
	line, _, _ := bytes.Cut(f.head, []byte("\n"))
	return err == nil && f.mode.IsRegular() && !f.isScript() && !bytes.HasPrefix(line, []byte(elfMagic)) && bytes.IndexByte(line, 0) < 0
}

// Explain returns why execve(2) of a file failed with errno, or "" if the errno says all
// that there is to say. With rootsOnly, it takes no text from a file that another user than
// root can write.
func Explain(unsafePath string, errno syscall.Errno, rootsOnly bool) string {
	if errno == syscall.ETXTBSY {
		return "another process has it open for writing"
	}
	it, at := "it", unsafePath
	for range maxInterpreters {
		f, err := look(at)
		if why := f.denied(at); err == nil && errno == syscall.EACCES && why != "" {
			return it + " " + why
		}
		switch interpreter := f.interpreter(); {
		case err != nil && at != unsafePath:
			return it + ": " + reason(err)
		case err != nil, rootsOnly && !f.ofRoot, !f.mode.IsRegular():
			return ""
		case errno == syscall.ENOEXEC && f.isELF() && f.machine() != machine(runtime.GOARCH):
			return fmt.Sprintf("%s is a program for %s, and this machine is %s", it, f.machine(), machine(runtime.GOARCH))
		case errno == syscall.ENOENT && f.isELF() && interpreter == "": // of 32 bits: look does not read the name
			return fmt.Sprintf("%s is a program for %s, and its loader is missing", it, f.machine())
		case interpreter == "" && errno != syscall.ENOEXEC:
			return ""
		case interpreter == "":
			return it + " is " + f.format()
		default:
			it, at = fmt.Sprintf("its interpreter %.200q", interpreter), interpreter
		}
	}
	return "it has too many interpreters"
}

// Missing returns the likely cause of an ENOENT for the name of a program, or "". The name
// may be several words of a command line, or a variable before one.
func Missing(name string) string {
	first, _, more := strings.Cut(name, " ")
	variable, _, assigns := strings.Cut(first, "=")
	if !more && (!assigns || strings.Contains(variable, "/")) {
		return ""
	}
	return "no shell splits this word: write the program and each of its arguments as a word of its own, or sh, -c and this text"
}

// reason returns the errno of err, without the name of the file.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// file is what look found.
type file struct {
	head   []byte // the first bytes
	link   string // the interpreter that an ELF file names
	mode   os.FileMode
	ofRoot bool // only root can write it
	noexec bool // its mount lets nothing be executed
}

// headSize is enough for a "#!" line and for the headers of an ELF file.
const headSize = 4096

// look reads the beginning of a regular file. It does not wait for a FIFO.
func look(unsafePath string) (f file, err error) {
	from, err := os.OpenFile(unsafePath, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return f, err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return f, err
	}
	f.mode, f.ofRoot, f.noexec = info.Mode(), info.Sys().(*syscall.Stat_t).Uid == 0 && info.Mode()&0o022 == 0, sys.NoExec(from)
	if !f.mode.IsRegular() {
		return f, nil
	}
	head := make([]byte, headSize)
	n, _ := from.ReadAt(head, 0) // a shorter file is an error, too
	f.head = head[:n]
	if at, size := f.interpreterAt(); size > 1 && size <= headSize {
		text := make([]byte, size)
		n, _ := from.ReadAt(text, at)
		f.link = strings.TrimRight(string(text[:n]), "\x00")
	}
	return f, nil
}

// denied returns the likely cause of an EACCES, or "".
func (f file) denied(unsafePath string) string {
	switch {
	case f.mode.IsDir():
		return "is a directory"
	case !f.mode.IsRegular():
		return "is no regular file"
	case f.noexec:
		return "is on a file system that is mounted noexec"
	case f.mode&0o001 == 0:
		return fmt.Sprintf("has mode %04o: chmod a+x it", f.mode.Perm())
	}
	for dir := path.Dir(unsafePath); dir != "/" && dir != "."; dir = path.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode()&0o001 == 0 && info.Sys().(*syscall.Stat_t).Uid == 0 {
			return fmt.Sprintf("is below %s, which belongs to root and has mode %04o", dir, info.Mode().Perm())
		}
	}
	return ""
}

const elfMagic = "\x7fELF"

func (f file) isScript() bool { return bytes.HasPrefix(f.head, []byte("#!")) }

// isELF reports whether f has the header of an ELF file, of which machine reads 20 bytes.
func (f file) isELF() bool { return bytes.HasPrefix(f.head, []byte(elfMagic)) && len(f.head) >= 20 }

// interpreter returns the program that the kernel executes in place of f, or with it.
func (f file) interpreter() string {
	if !f.isScript() {
		return f.link
	}
	line, _, _ := strings.Cut(string(f.head[2:]), "\n")
	line = strings.Trim(line, " \t")
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		line = line[:end]
	}
	return line
}

// interpreterAt returns where an ELF file of 64 bits names its interpreter (elf(5),
// PT_INTERP). size is 0 if it names none.
func (f file) interpreterAt() (at int64, size uint64) {
	const header, entry, interp = 64, 56, 3
	if !f.isELF() || len(f.head) < header || f.head[4] != 2 || f.head[5] != 1 {
		return 0, 0
	}
	le := binary.LittleEndian
	from, count := le.Uint64(f.head[32:]), uint64(le.Uint16(f.head[56:]))
	for ; count > 0 && from <= headSize-entry && from+entry <= uint64(len(f.head)); count-- {
		if p := f.head[from:]; le.Uint32(p) == interp {
			return int64(le.Uint64(p[8:])), le.Uint64(p[32:])
		}
		from += entry
	}
	return 0, 0
}

// machine returns the processor that an ELF file is for.
func (f file) machine() string {
	n := binary.LittleEndian.Uint16(f.head[18:])
	if f.head[5] == 2 {
		n = binary.BigEndian.Uint16(f.head[18:])
	}
	for _, m := range machines {
		if m.number == n {
			return m.name
		}
	}
	return fmt.Sprintf("processor %d of elf.h", n)
}

// machine returns the name of the processor with this GOARCH.
func machine(goarch string) string {
	for _, m := range machines {
		if m.goarch == goarch {
			return m.name
		}
	}
	return goarch
}

// machines lists processors by their numbers in ELF files (elf.h).
var machines = [...]struct {
	number       uint16
	name, goarch string
}{
	{3, "i386", "386"}, {8, "mips", "mips"}, {21, "ppc64", "ppc64le"}, {22, "s390x", "s390x"}, {40, "arm", "arm"},
	{62, "x86-64", "amd64"}, {183, "aarch64", "arm64"}, {243, "riscv64", "riscv64"}, {258, "loongarch64", "loong64"},
}

// format names the format of a file that the kernel does not execute.
func (f file) format() string {
	switch {
	case len(f.head) == 0:
		return "an empty file"
	case f.isScript():
		return "a script whose first line names no interpreter"
	case bytes.HasPrefix(f.head, []byte(elfMagic)):
		return "a damaged ELF file"
	case bytes.HasPrefix(f.head, []byte("MZ")):
		return "a program for Windows"
	case bytes.HasPrefix(f.head, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(f.head, []byte("\xca\xfe\xba\xbe")):
		return "a program for macOS or a Java class"
	case bytes.IndexByte(f.head, 0) >= 0:
		return "no program: its format is unknown"
	}
	return `text without a first line such as "#!/bin/sh"`
}
