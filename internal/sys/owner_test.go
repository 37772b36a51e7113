// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// readmeCaps are the rights of the README's flags, without DAC_OVERRIDE.
const readmeCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID

// TestAsFileOwner checks that f has the owner's files and no right, that no other
// process can touch us meanwhile, and that afterwards all is as before.
func TestAsFileOwner(t *testing.T) {
	if !testenv.Inside(t, unix.CLONE_NEWNS) {
		return
	}
	const dir, secret = "/mnt", "/mnt/secret"
	testenv.Must(t, unix.Mount("none", dir, "tmpfs", 0, "mode=0777"))
	testenv.Must(t, errors.Join(os.WriteFile(secret, []byte("x"), 0o400), os.Chown(secret, gateway, gateway)))
	testenv.Must(t, SetCaps(readmeCaps))
	testenv.Must(t, SetDumpable(false))
	if _, err := os.ReadFile(secret); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("root reads it anyway: %v", err)
	}
	hold, held := make(chan struct{}), make(chan struct{})
	go func() {
		<-held
		defer close(hold)
		for _, sig := range []string{"0", "TERM", "STOP"} {
			kill := exec.Command("/bin/sh", "-c", fmt.Sprintf("kill -%s %d", sig, os.Getpid()))
			kill.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}}
			if kill.Run() == nil {
				t.Errorf("the owner could send us %s", sig)
			}
		}
	}()
	var now map[string]string
	err := AsFileOwner(gateway, stranger, func() error {
		now = testenv.Status(t, "/proc/thread-self/status")
		close(held)
		<-hold
		_, err := os.ReadFile(secret)
		return errors.Join(err, os.WriteFile(dir+"/made", nil, 0o600))
	})
	testenv.Must(t, err)
	if want := fmt.Sprintf("0 %d 0 %d", gateway, gateway); now["Uid"] != want || now["CapEff"] != "0000000000000000" {
		t.Errorf("inside: Uid %s, CapEff %s, want %s and none", now["Uid"], now["CapEff"], want)
	}
	if want := fmt.Sprintf("0 %d 0 %d", stranger, stranger); now["Gid"] != want {
		t.Errorf("inside: Gid %s, want %s", now["Gid"], want)
	}
	st, err := os.Stat(dir + "/made")
	testenv.Must(t, err)
	if own := st.Sys().(*syscall.Stat_t); own.Uid != gateway || own.Gid != stranger {
		t.Errorf("made by %d:%d", own.Uid, own.Gid)
	}
	rootAgain(t, readmeCaps)
}

// rootAgain checks that every thread is as it was before AsFileOwner.
func rootAgain(t *testing.T, caps uint64) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	testenv.Must(t, err)
	for _, task := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that AsUser does not use again has ended
		}
		testenv.Must(t, err)
		s := testenv.ParseStatus(data)
		if s["Uid"] != "0 0 0 0" || s["Gid"] != "0 0 0 0" || s["CapEff"] != fmt.Sprintf("%016x", caps) {
			t.Errorf("thread %s: Uid %s, Gid %s, CapEff %s", task.Name(), s["Uid"], s["Gid"], s["CapEff"])
		}
	}
	if dumpable, err := Dumpable(); err != nil || dumpable {
		t.Errorf("dumpable: %v %v", dumpable, err)
	}
}

// TestAsFileOwnerFails checks that f's error is returned, and that an id that is
// refused is an error before f runs, with nothing changed.
func TestAsFileOwnerFails(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	never := func() error { t.Error("f was run"); return nil }
	testenv.Must(t, SetDumpable(false))
	testenv.Must(t, SetCaps(readmeCaps))
	if err := AsFileOwner(gateway, gateway, func() error { return fs.ErrExist }); !errors.Is(err, fs.ErrExist) {
		t.Errorf("f's error became %v", err)
	}
	if err := AsFileOwner(0, 0, never); !errors.Is(err, unix.EINVAL) {
		t.Errorf("as root: %v", err)
	}
	rootAgain(t, readmeCaps)
	for _, caps := range []uint64{1 << unix.CAP_SETGID, 0} {
		testenv.Must(t, SetCaps(caps))
		if err := AsFileOwner(gateway, gateway, never); !errors.Is(err, unix.EPERM) {
			t.Errorf("with %x: %v", caps, err)
		}
		rootAgain(t, caps)
	}
}

// TestAsFileOwnerCannotReturn checks that a thread that cannot become root again is
// an error, even if f returned none, and is not used again.
func TestAsFileOwnerCannotReturn(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	err := AsFileOwner(gateway, gateway, func() error {
		// From here on this thread has the gateway's other ids, too.
		return syscallErr(unix.RawSyscall(unix.SYS_SETRESUID, gateway, gateway, gateway))
	})
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
	// Its thread has ended (the first of a process sleeps forever), so a goroutine on
	// any thread is root.
	results := make(chan int)
	for range 50 {
		go func() {
			runtime.LockOSThread()
			results <- syscall.Geteuid()
		}()
	}
	for range 50 {
		if euid := <-results; euid != 0 {
			t.Errorf("a goroutine runs as %d", euid)
		}
	}
}

// TestAsUserSeesProcesses checks that f sees what a process of uid and gid may be shown to
// its own user, and that no thread keeps anything.
func TestAsUserSeesProcesses(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	cmd := &exec.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Env: []string{"A=b"},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Credential: &syscall.Credential{Uid: gateway, Gid: stranger}}}
	testenv.Must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	testenv.Executed(t, cmd.Process.Pid)
	testenv.Must(t, SetDumpable(false))
	testenv.Must(t, SetCaps(readmeCaps|1<<unix.CAP_SYS_ADMIN))
	dir := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	look := func() error {
		_, err1 := os.ReadFile(dir + "environ")
		_, err2 := os.Readlink(dir + "fd/0")
		_, err3 := os.Readlink(dir + "ns/net")
		return errors.Join(err1, err2, err3)
	}
	ctx := testenv.Within(t, 20*time.Second)
	if err := look(); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("root sees it anyway: %v", err)
	}
	testenv.Must(t, AsUser(ctx, gateway, stranger, nil, look))
	for _, gid := range []uint32{0, gateway} {
		if err := AsUser(ctx, gateway, gid, nil, look); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("with group %d: %v", gid, err)
		}
	}
	var network *os.File
	testenv.Must(t, AsUser(ctx, gateway, stranger, nil, func() (err error) { network, err = os.Open(dir + "ns/net"); return err }))
	defer network.Close()
	inside := ""
	testenv.Must(t, AsUser(ctx, gateway, stranger, network, func() (err error) { inside, err = os.Readlink("/proc/thread-self/ns/net"); return err }))
	here, err := os.Readlink("/proc/self/ns/net")
	if testenv.Must(t, err); inside == here {
		t.Error("f was not taken into the network namespace")
	}
	rootAgain(t, readmeCaps|1<<unix.CAP_SYS_ADMIN)
	testenv.Must(t, SetCaps(readmeCaps))
	if err := AsUser(ctx, gateway, stranger, network, look); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("a namespace without the right: %v", err)
	}
	rootAgain(t, readmeCaps)
}

// TestAsUserKeepsTheFirstThread checks that the ids that /proc shows for the process stay
// those of root, which the supervisor compares (supervisor/exitauth).
func TestAsUserKeepsTheFirstThread(t *testing.T) {
	if !testenv.Inside(t, 0) {
		return
	}
	for range 200 {
		testenv.Must(t, AsFileOwner(gateway, gateway, func() error {
			if s := testenv.Status(t, "/proc/self/status"); s["Uid"] != "0 0 0 0" {
				t.Errorf("the process is shown with %s", s["Uid"])
			}
			return nil
		}))
	}
}

// TestAsUserEndsWithItsContext checks that f is left alone if it does not return.
func TestAsUserEndsWithItsContext(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	me := uint32(os.Getuid())
	err := AsUser(testenv.Within(t, 20*time.Millisecond), me, uint32(os.Getgid()), nil, func() error { <-hang; return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
