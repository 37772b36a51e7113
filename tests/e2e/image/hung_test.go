// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/harness"
)

// testHungProgram checks that a container of verify-image has its limits, and that each
// signal that ends verify-image removes it. The program's hash is given, so it is run.
func testHungProgram(t *testing.T) {
	hung, err := os.ReadFile(filepath.Join(harness.Root(t), "bin/demogateway"))
	must(t, err)
	image, r := build(t, []file{{"/usr/local/sbin/gateway-init", 0o711, 0, 0, string(hung)}}, "ENV OPENCLAW_GATEWAY_TOKEN=x")
	if r.Code != 0 {
		t.Fatal(r)
	}
	containers := func() string {
		return strings.TrimSpace(harness.Engine(t, nil, "ps", "-aq", "--filter", "name=gateway-init-verify-").Stdout)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := exec.Command(filepath.Join(harness.Root(t), "bin/gatewayctl"), "verify-image", "--image", image,
				"--expect-sha256", fmt.Sprintf("gateway-init=%x", sha256.Sum256(hung)))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			must(t, cmd.Start())
			id := ""
			harness.Eventually(t, time.Minute, "a container that runs", func() error {
				if id = containers(); id == "" || harness.Engine(t, nil, "inspect", "-f", "{{.State.Running}}", id).Stdout != "true\n" {
					return errors.New("there is none")
				}
				return nil
			})
			limits := harness.Engine(t, nil, "inspect", "-f", "{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} {{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.LogConfig.Type}} {{.Config.User}}", id)
			if limits.Stdout != "64 268435456 none true none 9002:9002\n" {
				t.Errorf("the limits are %q", limits.Stdout)
			}
			must(t, cmd.Process.Signal(sig))
			err := cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 || out.String() != "gatewayctl: cannot check the image: interrupted\n" {
				t.Errorf("exit code %d, %v: %s", code, err, out.String())
			}
			if left := containers(); left != "" {
				t.Errorf("container %s is left", left)
			}
		})
	}
}
