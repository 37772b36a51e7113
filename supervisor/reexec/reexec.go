// SPDX-License-Identifier: Apache-2.0

// Package reexec is the child's side of package launch. It runs when gateway-init is
// executed again with the target's UID. It sets the properties of the new process
// and executes the target, or it is a worker and makes a proof over HTTP.
//
// It reports one word and an errno. A free text would let the target's user write
// into PID 1's log.
package reexec

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// exitFailed is the exit code of a re-exec child that reported why it failed.
const exitFailed = 126

// Run carries out the Spec on descriptor 3. It returns only for a worker (the
// Verdict's exit code) or after a failure.
func Run() int {
	runtime.LockOSThread() // the signal mask and the rule of package confine are per thread
	// This is the only os.File of the descriptor. With a second one, the finalizer
	// of the first could close the descriptor.
	out := os.NewFile(launch.ReportFD, "report")
	spec, err := launch.ReadSpec(os.NewFile(launch.SpecFD, "launch-spec"))
	if err == nil && spec.Worker == nil && len(spec.Argv) == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return report(out, launch.StepSpec, err)
	}
	sys.CloseOnExec(launch.SpecFD)
	sys.CloseOnExec(launch.ReportFD)
	if spec.Worker != nil {
		return runWorker(spec, out)
	}
	return runTarget(spec, out)
}

// runTarget sets up this process and executes the target.
func runTarget(spec launch.Spec, out *os.File) int {
	syscall.Umask(spec.Umask)
	oomAdj(spec.OOMAdj)
	if err := limits(spec); err != nil {
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
	if !spec.Stay {
		if err := syscall.Chdir(spec.Dir); err != nil {
			return report(out, launch.StepDir, err)
		}
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
	if spec.Confine {
		if err := restrict(); err != nil {
			return report(out, launch.StepConfine, err)
		}
	}
	sys.CloseOnExecFrom(launch.SpecFD)
	if spec.Pass > 0 {
		moved, err := pass(spec.Pass)
		if err != nil {
			return report(out, launch.StepSpec, err)
		}
		defer runtime.KeepAlive(out) // its descriptor is another file now
		out = moved
	}
	if spec.Listen {
		env = listenEnv(env, spec.Pass)
	}
	sys.DefaultInherited()
	sys.SetSignalMask(uint64(spec.Mask)) // Go's runtime has changed it
	out.WriteString(launch.Ready)
	return report(out, launch.StepExec, syscall.Exec(path, spec.Argv, env))
}

// runWorker runs a proof.Job and makes its verdict the exit code.
func runWorker(spec launch.Spec, out *os.File) int {
	job, err := proof.ParseJob(spec.Worker)
	if err != nil {
		return report(out, launch.StepSpec, err)
	}
	if spec.Life {
		job.PIDFD = launch.LifeFD
	}
	if spec.Token == nil {
		return work(job, nil, out)
	}
	secret, step, err := token(spec.Token)
	switch {
	case step == launch.StepTokenChanged:
		return int(proof.TokenChanged)
	case err != nil:
		return int(proof.TokenFailed)
	}
	defer secret.Wipe()
	return work(job, secret.Bytes(), out)
}

// work makes the proof, reports what was proven, and returns the exit code.
func work(job proof.Job, token []byte, out *os.File) int {
	v, seen := proof.Work(job, token)
	if v == proof.OK {
		out.WriteString(launch.Found + seen.Encode())
	}
	return int(v)
}

// token reads the token from the file that PID 1 has opened for us, closes the
// file, and compares the token with the one that PID 1 minted. Our own user cannot
// open that file.
func token(t *launch.Token) (secret *tokenfile.Secret, step launch.Step, err error) {
	f := os.NewFile(launch.TokenFD, tokenfile.Name)
	defer f.Close()
	if secret, err = tokenfile.ReadFrom(f); err != nil {
		return nil, launch.StepTokenFailed, err
	}
	if secret.Sum() != t.Sum {
		secret.Wipe()
		return nil, launch.StepTokenChanged, errChanged
	}
	return secret, "", nil
}

// errChanged means that the token file holds a token, but not the one PID 1 minted.
var errChanged = errors.New("token file was changed")

// limits sets RLIMIT_NOFILE and RLIMIT_FSIZE. PID 1 has clamped the first to the hard
// limit already. Setrlimit of package syscall also tells the runtime not to restore the
// old soft limit at exec.
func limits(spec launch.Spec) error {
	if n := spec.FileSize; n != 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	if n := spec.Nofile; n != 0 {
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n})
	}
	return nil
}

// oomAdj makes the kernel kill this process before PID 1 when memory runs out. It is
// for a re-exec child that has PID 1's own user. For another user PID 1 sets the
// score around the fork, and adj is 0. A process needs no right to raise its own
// value, but the file belongs to root while we are not dumpable (proc_pid(5)). An
// error is ignored, because boot has tried the same and reports it under hardening.
func oomAdj(adj int) {
	if adj == 0 {
		return
	}
	was, err := sys.Dumpable()
	if err == nil && !was {
		err = sys.SetDumpable(true)
	}
	if err != nil {
		return
	}
	_ = sys.SetOOMScore(strconv.Itoa(adj))
	_ = sys.SetDumpable(was) // to false it cannot fail
}

// report writes the failure to PID 1 and returns the exit code for it.
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
	return exitFailed
}
