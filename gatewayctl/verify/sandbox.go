// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/sys"
)

// nobodyID is the uid and gid of a program that is run in namespaces. It belongs
// to no account of the host, and the tree does not choose it.
const nobodyID = 65534

// programTimeout is how long a program of a tree may take.
const programTimeout = 10 * time.Second

// maxProgram bounds the size of a program that is copied.
const maxProgram = 64 << 20

// namespaces are the namespaces for a program of a tree, of all kinds that hold
// something that it could reach.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// try runs programs of the tree. In "/", which this program is part of, it runs
// them by their paths. In another directory it runs only bytes whose hash was
// given.
func (r rootSource) try(ctx context.Context, s *inspection) (t programRuns) {
	if r.dir == "/" {
		return tryInside(ctx, s)
	}
	t.init = r.sealed(ctx, s, initPath, "--version")
	t.ctl = r.sealed(ctx, s, ctlPath, "version")
	return t
}

// sealed runs one program of the tree, if its hash was given and holds. It runs
// a copy of the file that cannot change, without rights, in namespaces.
func (r rootSource) sealed(ctx context.Context, s *inspection, unsafePath string, args ...string) (o outcome) {
	name := path.Base(unsafePath)
	want := s.options.Sums[name]
	if want == "" {
		return outcomeNotRun(resultWithoutHash(name))
	}
	if os.Geteuid() != 0 {
		return outcomeNotRun(resultUnavailable("only root can run it without rights: in namespaces, as another user"))
	}
	f, sum, err := r.copyProgram(unsafePath)
	if err != nil {
		return outcomeNotRun(resultUnavailable("cannot copy %s: %v", unsafePath, err))
	}
	defer f.Close()
	if sum != want {
		return outcomeNotRun(resultUnavailable("see hashes"))
	}
	p := runProgramOf(inNamespaces, nobodyID, nobodyID, unsafePath, args)
	p.files = []*os.File{f}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: nobodyID, HostID: nobodyID, Size: 1}}
	p.attr.Cloneflags, p.attr.UidMappings, p.attr.GidMappings, p.attr.GidMappingsEnableSetgroups = namespaces, ids, ids, true
	return p.try(ctx, programTimeout)
}

// resultWithoutHash returns the result that says why a program of an image is not
// run.
func resultWithoutHash(name string) checkResult {
	return resultNotApplicable("no program of an image is run unless its hash is known: --expect-sha256 %s=HEX runs it", name)
}

// copyProgram copies a file of the tree, following no link, and returns the copy
// and its hash.
func (r rootSource) copyProgram(unsafePath string) (f *os.File, sum string, err error) {
	root, err := filepath.Abs(r.dir)
	if err != nil {
		return nil, "", err
	}
	dir, err := fsafe.OpenDir(path.Join(root, path.Dir(unsafePath)))
	if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	in, err := fsafe.OpenAt(dir, path.Base(unsafePath), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, "", err
	}
	defer in.Close()
	if _, err := fsafe.Verify(in, fsafe.Want{Type: fsafe.Regular}); err != nil {
		return nil, "", err
	}
	if f, err = sys.SealedMemfd(path.Base(unsafePath), in, maxProgram); err != nil {
		return nil, "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, maxProgram)); err != nil {
		f.Close()
		return nil, "", err
	}
	return f, hex.EncodeToString(h.Sum(nil)), nil
}

// tryInside runs the programs of the image that this one runs in. gatewayctl is
// this program, so root may execute it; gateway-init is run only as the sandbox
// user.
func tryInside(ctx context.Context, s *inspection) (t programRuns) {
	if os.Geteuid() != 0 {
		why := outcomeNotRun(resultUnavailable("only root can try it: setuid(2)"))
		return programRuns{init: why, ctl: why}
	}
	ours := func(name, at string) bool {
		n := s.tree.at(at)
		return n != nil && n.sum != "" && n.sum == s.options.Sums[name]
	}
	t.init, t.ctl = outcomeNotRun(resultUnavailable("see hashes")), outcomeNotRun(resultUnavailable("see hashes"))
	known := s.options.Sums["gateway-init"] == "" || ours("gateway-init", initPath)
	if ours("gatewayctl", ctlPath) {
		t.ctl = runProgramOf(inImage, 0, 0, ctlPath, []string{"version"}).try(ctx, programTimeout)
	}
	if s.usersErr != nil {
		t.init = outcomeNotRun(resultUnavailable("there is no sandbox user to run it as: see users"))
		return t
	}
	u := s.users[sandbox]
	if known {
		t.init = runProgramOf(inImage, u.UID, u.GID, initPath, []string{"--version"}).try(ctx, programTimeout)
	}
	if known && ours("gatewayctl", ctlPath) {
		o := runProgramOf(inImage, u.UID, u.GID, ctlPath, []string{"version"}).try(ctx, programTimeout)
		t.sandboxCtl = &o
	}
	return t
}

// runProgramOf returns this program as the one that becomes target.
func runProgramOf(where string, uid, gid uint32, target string, args []string) program {
	id := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	return program{
		path: "/proc/self/exe", attr: &syscall.SysProcAttr{Setsid: true},
		args: append([]string{"gatewayctl", ProgramRunArg, where, id(uid), id(gid), target}, args...),
	}
}

// try runs p. A line of ProgramRun itself begins with the mark, and a line of its
// program does not. A program that prints the mark only makes its own check fail.
func (p program) try(ctx context.Context, limit time.Duration) (o outcome) {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o.exitResult, o.err = p.run(within)
	text, own := strings.CutPrefix(o.errOut, runFailed)
	switch {
	case ctx.Err() != nil:
		o.err = ctx.Err()
	case errors.Is(o.err, context.DeadlineExceeded):
		o.err = fmt.Errorf("it did not end within %v and was killed", limit)
	case o.err != nil:
		o.err = fmt.Errorf("cannot run it without rights: %w", o.err)
	case own && o.code == cannotExecute:
		o.refused = true
	case own && o.code == engineFailed:
		o.err = fmt.Errorf("cannot run it without rights: %s", firstLine(text))
	}
	return o
}
