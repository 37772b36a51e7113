// SPDX-License-Identifier: Apache-2.0

package continuity

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// onDisk sets a runtime directory that outlives the container. A PID 1 without root
// takes it from the variable, not from runtime_dir.
func onDisk(o harness.Options, parent string) harness.Options {
	o.Config = map[string]any{"require_tmpfs": false, "runtime_dir": parent + "/gateway-init"}
	o.Env = map[string]string{"XDG_RUNTIME_DIR": parent}
	return o
}

// runtimeDir makes such a directory on the host.
func runtimeDir(t *testing.T) string {
	t.Helper()
	return harness.HostDir(t, "runtime", int(harness.UID(t, 0)), 0o711)
}

// onDiskContainer runs a container with the runtime directory dir. The gateway's
// home is a volume of the host too, as in a sandbox that a user clones.
func onDiskContainer(t *testing.T, dir string, o harness.Options) *harness.Container {
	t.Helper()
	o = onDisk(o, "/var")
	o.Extra = append([]string{"-v", dir + ":/var/gateway-init"}, o.Extra...)
	return harness.Start(t, o)
}

// tokenIn reads the token in the directory dir of the host.
func tokenIn(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "gateway-token"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Scenario L17. A cloned or recreated container boots. State of an earlier
// life is never an error.
//
// A cloned or recreated container did not boot, because of files of an earlier
// run (#6110).
func TestContainerBootsOverEarlierState(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, c *harness.Container, dir string){
		"killed":  func(_ *testing.T, c *harness.Container, _ string) { c.Kill("KILL") },
		"stopped": func(_ *testing.T, c *harness.Container, _ string) { c.Stop() },
		"killed-in-the-middle-of-a-rotation": func(t *testing.T, c *harness.Container, dir string) {
			c.SetMisbehave(map[string]any{"ignore_term": true})
			checkRestarted(t, c.Ctl("restart"))
			done := async(c, "restart", "--rotate-token")
			c.WaitState("stopping", boot)
			if _, err := os.Lstat(filepath.Join(dir, "gateway-token.new")); err != nil {
				t.Fatalf("no prepared token in the middle of a rotation: %v", err)
			}
			c.Kill("KILL")
			wait(t, done, boot)
		},
		"half-written": func(t *testing.T, c *harness.Container, dir string) {
			c.Kill("KILL")
			for _, name := range []string{"status.json", "status.json.new"} {
				path := filepath.Join(dir, name)
				err := os.WriteFile(path, []byte(`{"schema":1,"gatew`), 0o600)
				if err := errors.Join(err, os.Chown(path, int(harness.UID(t, 0)), 0)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"without-fifo": func(t *testing.T, c *harness.Container, dir string) {
			c.Kill("KILL")
			if err := os.Remove(filepath.Join(dir, "control/request")); err != nil {
				t.Fatal(err)
			}
		},
		"without-token": func(t *testing.T, c *harness.Container, dir string) {
			c.Kill("KILL")
			if err := os.Remove(filepath.Join(dir, "gateway-token")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := runtimeDir(t)
			first := onDiskContainer(t, dir, harness.Options{})
			first.WaitServing(boot)
			checkRestarted(t, first.Ctl("restart")) // leaves replies
			old := tokenIn(t, dir)
			leave(t, first, dir)
			first.WaitExit(boot)

			second := onDiskContainer(t, dir, harness.Options{})
			record := second.WaitServing(boot)
			if tokenIn(t, dir) == old {
				t.Error("the token is that of another life")
			}
			if record.Restarts != 0 || record.LastRequest != nil || record.LastExit != nil {
				t.Errorf("the record holds another life: %+v", record)
			}
			replies, err := os.ReadDir(filepath.Join(dir, "control/replies"))
			if err != nil || len(replies) != 0 {
				t.Errorf("replies of another life: %v, %v", replies, err)
			}
			checkRestarted(t, second.Ctl("restart", "--rotate-token"))
		})
	}
}

// Scenario L17, a running original. A copy is made while the original serves, and
// both go on. The copy has the original's pids, times and nonces, but ignores them.
func TestCloneOfRunningContainerServes(t *testing.T) {
	t.Parallel()
	dir, copied := runtimeDir(t), filepath.Join(t.TempDir(), "copy")
	original := onDiskContainer(t, dir, harness.Options{})
	original.WaitServing(boot)
	if out, err := exec.Command("cp", "-a", dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if tokenIn(t, copied) != tokenIn(t, dir) {
		t.Fatal("the copy is none")
	}
	clone := onDiskContainer(t, copied, harness.Options{})
	clone.WaitServing(boot)
	if tokenIn(t, copied) == tokenIn(t, dir) {
		t.Error("two containers have one token")
	}
	checkRestarted(t, clone.Ctl("restart"))
	checkRestarted(t, original.Ctl("restart"))
	for _, c := range []*harness.Container{original, clone} {
		if v := c.View(); !v.Serving {
			t.Errorf("%s: %s", v.Reason, v.Detail)
		}
	}
}

// Scenario L17, an image. docker commit makes an image of a container that served.
// A container of it boots, and the image does not bring a token.
func TestCommittedImageBringsNoToken(t *testing.T) {
	t.Parallel()
	// The runtime directory is in a writable root, where every user may make one.
	const parent = "/tmp"
	options := onDisk(harness.Options{Flags: harness.WritableFlags(t)}, parent)
	first := harness.Start(t, options)
	first.WaitServing(boot)
	token, err := os.ReadFile(first.HostPath(parent + "/gateway-init/gateway-token"))
	if err != nil {
		t.Fatal(err)
	}
	image := harness.NewName(t)
	if r := harness.Engine(t, nil, "commit", first.Name, image); r.Code != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() { harness.Engine(t, nil, "rmi", "-f", image) })
	options.Image = image
	second := harness.Start(t, options)
	second.WaitServing(boot)
	again, err := os.ReadFile(second.HostPath(parent + "/gateway-init/gateway-token"))
	if err != nil {
		t.Fatal(err)
	}
	if string(again) == string(token) {
		t.Error("the clone has the original's token")
	}
	checkRestarted(t, second.Ctl("restart"))
}

// Scenario L17, foreign files. A file that no earlier run can have left is refused
// by its name. A user who could put it there could do worse.
func TestForeignRuntimeFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]struct {
		file string
		do   func(path string) error
	}{
		"link-as-token":          {"gateway-token", func(p string) error { return os.Symlink("/etc/passwd", p) }},
		"fifo-as-status":         {"status.json", func(p string) error { return unix.Mkfifo(p, 0o600) }},
		"directory-as-new-token": {"gateway-token.new", func(p string) error { return os.Mkdir(p, 0o700) }},
		"foreign-token": {"gateway-token", func(p string) error {
			if err := os.WriteFile(p, []byte(strings.Repeat("0", 64)), 0o400); err != nil {
				return err
			}
			return os.Chown(p, harness.SandboxUID, harness.SandboxUID)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := runtimeDir(t)
			if err := plant.do(filepath.Join(dir, plant.file)); err != nil {
				t.Fatal(err)
			}
			c := onDiskContainer(t, dir, harness.Options{})
			if code := c.WaitExit(boot); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if log := c.Logs(); !strings.Contains(log, plant.file) {
				t.Errorf("the refusal does not name %s:\n%s", plant.file, log)
			}
			if err := os.Remove(filepath.Join(dir, plant.file)); err != nil {
				t.Fatal(err)
			}
			c.StartAgain()
			c.WaitServing(boot)
		})
	}
}
