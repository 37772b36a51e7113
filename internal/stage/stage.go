// Package stage is the child's side of package launch: gateway-init executed
// again with the target's UID. It sets what belongs to the new process and
// becomes the target, or it is a worker and proves something over HTTP.
//
// What it reports is one word and an errno; a text could carry bytes that the
// target's UID chose into PID 1's log.
package stage

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"gatewayinit/internal/launch"
	"gatewayinit/internal/sys"
	"gatewayinit/supervisor/proof"
	"gatewayinit/tokenfile"
)

// failed is the exit code of a stage that reported why.
const failed = 126

// Run does what the Spec on descriptor 3 says. It returns only for a worker
// (the Verdict's exit code) or after a failure.
func Run() int {
	runtime.LockOSThread() // the signal mask around TakeForeground is per thread
	// One owner to the end: a second os.File of the number could be closed by
	// the first one's finalizer.
	out := os.NewFile(launch.ReportFD, "report")
	spec, err := launch.ReadSpec(os.NewFile(launch.SpecFD, "launch-spec"))
	if err == nil && spec.Worker == nil && spec.Hand == nil && len(spec.Argv) == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return report(out, launch.StepSpec, err)
	}
	sys.CloseOnExec(launch.SpecFD)
	sys.CloseOnExec(launch.ReportFD)
	switch {
	case spec.Worker != nil:
		return work(spec, out)
	case spec.Hand != nil:
		return hand(spec.Hand, out)
	}
	return become(spec, out)
}

// become sets up this process and executes the target.
func become(spec launch.Spec, out *os.File) int {
	syscall.Umask(spec.Umask)
	oomAdj(spec.OOMAdj)
	if err := limits(spec.Nofile); err != nil {
		return report(out, launch.StepLimits, err)
	}
	env := spec.Env
	if spec.Token != nil {
		secret, step, err := token(spec.Token)
		if err != nil {
			return report(out, step, err)
		}
		// A string of the token cannot be wiped; this process is about to be
		// replaced, and its memory with it.
		env = append(env, spec.Token.Env+"="+string(secret.Bytes()))
		secret.Wipe()
	}
	if err := syscall.Chdir(spec.Dir); err != nil {
		return report(out, launch.StepDir, err)
	}
	if spec.Foreground {
		if err := sys.TakeForeground(0); err != nil && !errors.Is(err, syscall.ENOTTY) {
			return report(out, launch.StepTerminal, err)
		}
	}
	path, err := sys.LookPath(spec.Argv[0], env)
	if err != nil {
		return report(out, launch.StepExec, err)
	}
	sys.CloseOnExecFrom(launch.SpecFD)
	sys.DefaultRealtime()
	out.WriteString(launch.Ready)
	return report(out, launch.StepExec, syscall.Exec(path, spec.Argv, env))
}

// work runs a proof.Job and makes its verdict the exit code.
func work(spec launch.Spec, out *os.File) int {
	job, err := proof.ParseJob(spec.Worker)
	if err != nil {
		return report(out, launch.StepSpec, err)
	}
	if spec.Token == nil {
		return int(proof.Work(job, nil))
	}
	secret, step, err := token(spec.Token)
	switch {
	case step == launch.StepTokenChanged:
		return int(proof.TokenChanged)
	case err != nil:
		return int(proof.TokenFailed)
	}
	defer secret.Wipe()
	return int(proof.Work(job, secret.Bytes()))
}

// hand gives the token to the stage of another user at the other end of a pipe.
// Who waits there compares the digest too; that this side does keeps a changed
// file from leaving it at all.
func hand(t *launch.Token, out *os.File) int {
	secret, step, err := token(t)
	if err != nil {
		return report(out, step, err)
	}
	defer secret.Wipe()
	if _, err := secret.WriteTo(os.Stdout); err != nil {
		return report(out, launch.StepTokenFailed, err)
	}
	return 0
}

// token reads the token as its owner, or takes it from who did, and compares it
// with what PID 1 minted: the owner could have rewritten its own file.
func token(t *launch.Token) (secret *tokenfile.Secret, step launch.Step, err error) {
	if t.Handed {
		secret, err = handed()
	} else {
		dir := os.NewFile(launch.RuntimeFD, "runtime-dir")
		defer dir.Close()
		secret, err = tokenfile.Read(dir, t.Name, tokenfile.Policy{UID: t.UID, GID: t.GID, AnyFS: t.Any})
	}
	if err != nil {
		return nil, launch.StepTokenFailed, err
	}
	if secret.Sum() != t.Sum {
		secret.Wipe()
		return nil, launch.StepTokenChanged, errChanged
	}
	return secret, "", nil
}

// handed takes the token off the pipe, within a bound: nobody who stops the
// reader stops us.
func handed() (*tokenfile.Secret, error) {
	if err := syscall.SetNonblock(launch.RuntimeFD, true); err != nil {
		return nil, err
	}
	pipe := os.NewFile(launch.RuntimeFD, "token-pipe")
	defer pipe.Close()
	if err := pipe.SetReadDeadline(time.Now().Add(launch.HandPatience)); err != nil {
		return nil, err
	}
	return tokenfile.Receive(pipe)
}

// errChanged: the token file holds a token, but not the one PID 1 minted.
var errChanged = errors.New("token file was changed")

// limits sets RLIMIT_NOFILE. PID 1 has clamped it to the hard limit already.
// Setrlimit of package syscall also tells the runtime not to restore the old
// soft limit at exec.
func limits(nofile uint64) error {
	if nofile == 0 {
		return nil
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: nofile, Max: nofile})
}

// oomAdj makes the kernel prefer this process to PID 1 when memory runs out.
// Raising one's own value needs no right; a read-only /proc is not worth failing.
func oomAdj(adj int) { _ = sys.SetOOMScore(strconv.Itoa(adj)) }

// report writes the failure to PID 1.
func report(out *os.File, step launch.Step, err error) int {
	f := launch.Failure{Step: step}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		f.Errno = errno
	case errors.Is(err, fs.ErrNotExist):
		f.Errno = syscall.ENOENT
	}
	out.WriteString(f.Encode())
	return failed
}
