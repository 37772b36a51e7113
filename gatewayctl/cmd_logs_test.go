// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
)

// writeFile writes a file of the runtime directory.
func (w *fixture) writeFile(name, text string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.path, name), []byte(text), 0o600))
}

// TestLogs checks what is printed, with all that a gateway may write.
func TestLogs(t *testing.T) {
	const hostile, cleaned = "red \x1b[31m\ttab \x9b2J \u009b \u202e\r\nno end", "red ?[31m\ttab \ufffd2J ? ??\nno end\n"
	w := newFixture(t)
	w.up()
	w.want(w.run("logs"), exitFailed, "", "gatewayctl: cannot show logs: no log of this container is in a file: read docker logs CONTAINER\n")
	w.writeFile("init.log", "one\n")
	w.writeFile("gateway.log", hostile)
	w.want(w.run("logs"), exitOK, "one\n"+cleaned, "== "+w.path+"/init.log ==\n== "+w.path+"/gateway.log ==\n")
	w.want(w.run("logs", "gateway"), exitOK, cleaned, "== "+w.path+"/gateway.log ==\n")
	if w.out.String() != cleaned { // docker exec without -t copies our pipe to a terminal
		t.Errorf("it is %q, want %q", w.out.String(), cleaned)
	}
	w.want(w.run("logs", "sidecars"), exitFailed, "", "cannot show logs: the configuration has no sidecars")
	w.want(w.run("logs", "init", "gateway"), exitUsage, "", `no log "init gateway": it is init, gateway or sidecars`)
	w.want(w.run("logs", "../status"), exitUsage, "", "no log")
	must(t, os.Chmod(filepath.Join(w.path, "init.log"), 0o666))
	w.want(w.run("logs", "init"), exitFailed, "", "has mode 0666, not 0600")
	must(t, os.Remove(filepath.Join(w.path, "init.log")))
	must(t, os.Symlink("gateway.log", filepath.Join(w.path, "init.log")))
	w.want(w.run("logs", "init"), exitFailed, "", "symbolic link")
	w.out.Reset()
	w.stdio.out = full{}
	w.writeFile("sidecars.log", "text\n")
	w.want(w.run("logs", "sidecars"), exitFailed, "", "cannot write to stdout")
}

// TestAdviceNamesTheLogs checks that no advice leads to docker logs if that has only the
// command's screen.
func TestAdviceNamesTheLogs(t *testing.T) {
	for files, want := range map[bool]string{false: "read its output in docker logs CONTAINER", true: "read its output in gatewayctl logs"} {
		w := newFixture(t)
		w.serve(func(s *control.Server, r control.Request) {
			s.Reply(control.Reply{Nonce: r.Nonce, Outcome: control.Failed, Reason: reason.Exited})
		})
		w.record.LogFiles = files
		w.publish()
		w.want(w.run("restart"), exitFailed, "", want)
		w.record.State, w.record.Reason = status.Backoff, reason.Exited
		w.publish()
		w.want(w.run("status"), exitNotServing, want, "")
		if got := strings.Contains(w.out.String(), "\nlogs  "); got != files {
			t.Errorf("a line about logs: %v", got)
		}
	}
}
