// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/harness"
)

// becomeArg is the first argument of this program when it becomes PID 1.
const becomeArg = "-become-pid-1"

// Paths in a box of the gathered files, and of the gateway's home.
const (
	boxDir  = "/run/bench"
	boxHome = "/run/home"
)

// namespaces of a box, beside its PIDs.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC

// etc makes /etc of the boxes: the demo image's users, the files that bash's
// programs need, and the configuration. The host's /etc has no gateway-init.
func (b *bench) etc() error {
	files := map[string]string{
		"passwd": filepath.Join(b.root, "image/demo/passwd"), "group": filepath.Join(b.root, "image/demo/group"),
		"ld.so.cache": "/etc/ld.so.cache", "ssl/openssl.cnf": "/etc/ssl/openssl.cnf",
	}
	for _, dir := range []string{"etc/ssl", "etc/gateway-init"} {
		if err := os.MkdirAll(b.file(dir), 0o755); err != nil {
			return err
		}
	}
	for name, from := range files {
		data, err := os.ReadFile(from)
		if errors.Is(err, os.ErrNotExist) && name != "passwd" && name != "group" {
			continue // without openssl the entrypoint uses python
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(b.file("etc"), name), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	for name, interval := range map[string]string{"etc/gateway-init/config.json": healthNever, "etc/often.json": healthOften} {
		config, err := b.config(interval)
		if err == nil {
			err = os.WriteFile(b.file(name), config, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(b.file("etc/nsswitch.conf"), []byte("passwd: files\ngroup: files\n"), 0o644)
}

// Health checks of the boxes: none comes while a box is idle, except in those that
// healthConfig is for.
const (
	healthNever  = "24h"
	healthOften  = "500ms"
	healthConfig = boxDir + "/etc/often.json"
)

// config is the demo image's configuration. The gateway writes a record when it is
// executed.
func (b *bench) config(interval string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(b.root, "image/demo/config.json"))
	if err != nil {
		return nil, err
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	delete(c, "prepare") // it would change the host's /tmp
	delete(c, "clients")
	gateway, ok := c["gateway"].(map[string]any)
	health, found := gateway["health"].(map[string]any)
	if !ok || !found {
		return nil, errors.New("the demo's configuration has no gateway.health")
	}
	gateway["command"] = gatewayCommand()
	gateway["working_dir"] = boxHome
	health["interval"] = interval
	return json.Marshal(c)
}

func gatewayCommand() []string {
	return []string{boxDir + "/probe", "x", boxDir + "/demogateway"}
}

// spec says how a box starts.
type spec struct {
	argv  []string // of PID 1
	env   []string // besides PATH
	cpus  int      // how many it may use; 0: all
	stdin *os.File // become waits until a byte comes, and executes argv; nil: it does not wait
	mixed bool     // stderr is the records' pipe
}

// startInBox starts a program as PID 1 of a box. Its first record is from just
// before the execve of argv, so no measurement includes the preparation. The record
// comes from the probe: the kernel takes 0.4 ms to end our own program in an execve,
// and that time is not PID 1's.
func (b *bench) startInBox(s spec) (*instance, error) {
	argv := []string{"/proc/self/exe", becomeArg, b.dir, strconv.Itoa(s.cpus)}
	if s.stdin == nil {
		argv = append(argv, boxDir+"/probe", "x")
	}
	i, err := start(append(argv, s.argv...), namespaces, s)
	if err != nil {
		return nil, err
	}
	if i.began, err = i.record(); err != nil {
		i.end()
		return nil, fmt.Errorf("the first process of %s: %w", s.argv[0], err)
	}
	return i, nil
}

// become is the first process of a box. It mounts, drops what Docker does not grant,
// and executes the measured program.
func become(args []string) error {
	runtime.LockOSThread() // CPUs and capabilities are the thread's
	dir, argv := args[0], args[2:]
	cpus, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	// The sources of all bind mounts must be found before a mount covers them.
	bound, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot clone the mount of %s: %w", dir, err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755,size=16m"); err != nil {
		return fmt.Errorf("cannot mount /run: %w", err)
	}
	err = errors.Join(os.Mkdir(boxDir, 0o755), os.Mkdir(boxHome, 0o700), os.Chown(boxHome, harness.GatewayUID, harness.GatewayUID))
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		err  error
	}{
		{boxDir, unix.MoveMount(bound, "", unix.AT_FDCWD, boxDir, unix.MOVE_MOUNT_F_EMPTY_PATH)},
		{"/etc", unix.Mount(boxDir+"/etc", "/etc", "", unix.MS_BIND, "")},
		{"/proc", unix.Mount("proc", "/proc", "proc", 0, "")},
		{"loopback", testenv.Loopback()},
	} {
		if step.err != nil {
			return fmt.Errorf("cannot set up %s: %w", step.what, step.err)
		}
	}
	if cpus > 0 {
		if err := pin(cpus); err != nil {
			return err
		}
	}
	if err := limitCapabilities(); err != nil {
		return err
	}
	if argv[0] != boxDir+"/probe" {
		if err := wait(); err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot execute %s: %w", argv[0], syscall.Exec(argv[0], argv, os.Environ()))
}

// wait writes a record, and waits for a byte on stdin. Then stdin is /dev/null.
func wait() error {
	if unix.Gettid() != os.Getpid() {
		return errors.New("not on the main thread, which our parent counts")
	}
	at := now()
	var record [16]byte
	binary.NativeEndian.PutUint64(record[:8], uint64(at/1e9))
	binary.NativeEndian.PutUint64(record[8:], uint64(at%1e9))
	if _, err := os.Stdout.Write(record[:]); err != nil {
		return err
	}
	if _, err := os.Stdin.Read(record[:1]); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return unix.Dup3(int(null.Fd()), 0, 0)
}
