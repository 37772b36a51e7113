// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// build is one gateway-init with its gatewayctl, in gateway mode.
type build struct {
	name string // in tables
	dir  string // of its files, below the directory of the boxes
}

// Names that tables refer to.
const (
	gatewayMode = "gateway-init, gateway mode"
	beforeMode  = "gateway-init before, gateway mode"
	beforeDir   = "before"
)

func (u build) String() string { return u.name }

// program returns the path in a box of one of the build's programs.
func (u build) program(name string) string { return filepath.Join(boxDir, u.dir, name) }

// programs are what is measured. The rest is measured with.
var programs = []string{"gateway-init", "gatewayctl"}

// prepare builds the tools and copies the binaries to a directory where every user
// can execute them. A checkout may be in a closed directory.
func (b *bench) prepare(before string) (err error) {
	top, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if b.root = strings.TrimSpace(string(top)); err != nil || b.root == "" {
		return errors.Join(errors.New("cannot find the module: run it in the repository"), err)
	}
	if b.dir, err = os.MkdirTemp("", "gateway-init-bench"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	if err := errors.Join(b.compile("probe", "-s -w -E main.start"), b.compile("hello", "-s -w -buildid=")); err != nil {
		return err
	}
	if err := b.copyFiles(b.dir, b.root, "bin/gateway-init", "bin/gateway-relay", "bin/gatewayctl", "bin/demogateway", "tests/bench/entrypoint"); err != nil {
		return fmt.Errorf("%w: run make bench, which builds it", err)
	}
	b.builds = []build{{gatewayMode, ""}}
	if before != "" {
		if err := b.copyFiles(b.file(beforeDir), before, programs...); err != nil {
			return err
		}
		b.builds = append(b.builds, build{beforeMode, beforeDir})
	}
	return b.etc()
}

// compile builds one of the tools below this directory.
func (b *bench) compile(name, flags string) error {
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", b.file(name), "./tests/bench/"+name)
	build.Dir, build.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the %s: %w: %s", name, err, out)
	}
	return nil
}

// copyFiles copies executable files from a directory. Unlike in an image, every user
// can read them: the kernel counts no events of a process that executes a file which
// it cannot read.
//
// It writes pieces of 32 KiB, as engines do when they unpack a layer. The kernel keeps what
// one large write brought in large folios, and then one page fault may map 1 MiB of it.
func (b *bench) copyFiles(to, from string, names ...string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := writePieces(filepath.Join(to, filepath.Base(name)), data); err != nil {
			return err
		}
	}
	return nil
}

func writePieces(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for piece := range slices.Chunk(data, 32<<10) {
		if _, err := f.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// file returns the path of one of our files, in every namespace.
func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// release returns the version that a build says it is.
func (b *bench) release(u build) string {
	out, err := exec.Command(b.file(filepath.Join(u.dir, "gateway-init")), "--version").Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "gateway-init ")
}
