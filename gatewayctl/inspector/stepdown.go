// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Arg is the first argument that makes the caller's program an inspector. The uid,
// the gid and the lifetime follow.
const Arg = "as-inspector"

// Main runs the program as an inspector. It steps down, and answers each line of
// its input with a line until the input ends. A user that calls it by hand becomes
// that uid, which only root can do.
func Main(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("usage: " + Arg + " UID GID LIFETIME")
	}
	uid, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(args[1], 10, 31)
	if err != nil {
		return err
	}
	life, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if err := StepDown(uint32(uid), uint32(gid)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	context.AfterFunc(ctx, func() { os.Exit(1) }) // even if a look hangs
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q Question
		if err := questions.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(answer(ctx, q)); err != nil {
			return err
		}
	}
}

// StepDown gives up all that root has, in every thread: groups, then gid, then
// uid, and all capabilities. A uid of 0 keeps the capabilities, because it sees
// a process of root only with the capabilities of that process (ptrace(2)). A
// process that already has uid and gid keeps its groups and capabilities.
func StepDown(uid, gid uint32) error {
	u, g := int(uid), int(gid)
	if err := sys.NoNewPrivs(); err != nil {
		return err
	}
	if u == os.Getuid() && g == os.Getgid() {
		return nil
	}
	err := os.NewSyscallError("setgroups", syscall.Setgroups(nil))
	if err == nil {
		err = os.NewSyscallError("setresgid", syscall.Setresgid(g, g, g))
	}
	if err == nil {
		err = os.NewSyscallError("setresuid", syscall.Setresuid(u, u, u))
	}
	if err == nil && u != 0 {
		err = sys.SetCaps(0) // they end with the last uid 0 (capabilities(7)), unless a securebit kept them
	}
	if err != nil {
		return fmt.Errorf("cannot become uid %d: %w", uid, err)
	}
	return nil
}
