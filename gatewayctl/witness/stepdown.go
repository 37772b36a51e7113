package witness

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

	"gatewayinit/internal/sys"
)

// Arg is the first argument of the caller's program when it is to be a witness;
// its uid, its gid and how long it may live follow.
const Arg = "as-witness"

// Main is the program in a witness: it steps down and answers, a line for a
// line, until its input ends. Whoever calls it by hand becomes that user, which
// only root can.
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
	context.AfterFunc(ctx, func() { os.Exit(1) }) // whatever it hangs in
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q Question
		if err := questions.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(Look(ctx, q)); err != nil {
			return err
		}
	}
}

// StepDown gives up all that root has, in every thread: groups, then gid, then
// uid, and all capabilities; but a user that is root keeps them: it sees a process
// of root's only with that one's capabilities (ptrace(2)). Who is that user
// already stays as it is.
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
		err = sys.SetCaps(0) // gone with the last uid 0 (capabilities(7)), unless a securebit kept them
	}
	if err != nil {
		return fmt.Errorf("cannot become uid %d: %w", uid, err)
	}
	return nil
}
