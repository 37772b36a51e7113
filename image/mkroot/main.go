// SPDX-License-Identifier: Apache-2.0

// Command mkroot writes a root file system as a tar from a manifest. Owners and
// modes come from the manifest, and nothing comes from the machine, so that one
// input gives one output. ADD of a tar keeps owners and modes with every builder;
// COPY --chmod needs BuildKit, and RUN needs a shell.
//
//	mkroot MANIFEST BINDIR OUT.tar
//
// A manifest has one entry a line; # begins a comment:
//
//	dir  PATH MODE UID GID
//	file PATH MODE UID GID SOURCE   SOURCE is relative to the manifest; @NAME is BINDIR/NAME
//	link PATH TARGET
package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() { os.Exit(run(os.Args, os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	if len(args) != 4 {
		fmt.Fprintln(stderr, "usage: mkroot MANIFEST BINDIR OUT.tar")
		return 2
	}
	if err := build(args[1], args[2], args[3]); err != nil {
		fmt.Fprintf(stderr, "mkroot: %v\n", err)
		return 1
	}
	return 0
}

func build(manifest, binDir, out string) (err error) {
	in, err := os.Open(manifest)
	if err != nil {
		return fmt.Errorf("cannot open manifest: %w", err)
	}
	defer in.Close()
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write tar: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f, in, func(source string) ([]byte, error) {
		if name, ok := strings.CutPrefix(source, "@"); ok {
			return os.ReadFile(filepath.Join(binDir, name))
		}
		return os.ReadFile(filepath.Join(filepath.Dir(manifest), source))
	})
}

// write makes the tar; read returns the content of a SOURCE.
func write(out io.Writer, manifest io.Reader, read func(string) ([]byte, error)) error {
	w := tar.NewWriter(out)
	lines := bufio.NewScanner(manifest)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if err := entry(w, fields, read); err != nil {
			return fmt.Errorf("cannot add line %d (%s): %w", n, strings.Join(fields, " "), err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read manifest: %w", err)
	}
	return w.Close()
}

func entry(w *tar.Writer, fields []string, read func(string) ([]byte, error)) error {
	h := &tar.Header{Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
	want, ok := map[string]int{"dir": 5, "file": 6, "link": 3}[fields[0]]
	if !ok || len(fields) != want {
		return errors.New("want dir PATH MODE UID GID, file PATH MODE UID GID SOURCE or link PATH TARGET")
	}
	if !path.IsAbs(fields[1]) || path.Clean(fields[1]) != fields[1] || fields[1] == "/" {
		return errors.New("PATH must be absolute and clean")
	}
	h.Name = fields[1][1:]
	if fields[0] == "link" {
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, fields[2], 0o777
		return w.WriteHeader(h)
	}
	mode, errMode := strconv.ParseInt(fields[2], 8, 32)
	uid, errUID := strconv.ParseInt(fields[3], 10, 32)
	gid, errGID := strconv.ParseInt(fields[4], 10, 32)
	if err := errors.Join(errMode, errUID, errGID); err != nil {
		return err
	}
	h.Mode, h.Uid, h.Gid = mode, int(uid), int(gid)
	if fields[0] == "dir" {
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		return w.WriteHeader(h)
	}
	data, err := read(fields[5])
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
