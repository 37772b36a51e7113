// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// lookAlways returns a look that finds v.
func lookAlways(v View) func() View { return func() View { return v } }

// TestAdoptLooksAgain checks the last look before an unmanaged gateway is ended. If the
// gateway serves by now, it is ours. If the record cannot be read, nothing is ended.
func TestAdoptLooksAgain(t *testing.T) {
	mine := func(procfs.Stat) bool { return true }
	foreign := Verdict{Code: ExitNotServing, Reason: reason.ListenerForeign}
	refused := View{PID: 8, Verdict: Verdict{Code: ExitNotServing, Reason: reason.ListenerMissing}}
	for name, c := range map[string]struct {
		now  View
		find error // of the search for the unmanaged gateway
		pid  int   // of our gateway that serves
		want int   // the exit code
	}{
		"serves":               {View{PID: 7, owns: mine, Verdict: Verdict{Serving: true}}, nil, 7, ExitOK},
		"serves-and-has-port":  {View{PID: 7, owns: mine, Verdict: Verdict{Serving: true}}, external.ErrOurs, 7, ExitOK},
		"ours":                 {View{owns: mine, Verdict: foreign}, nil, 0, ExitRefused},
		"no-record":            {View{Verdict: Verdict{Code: ExitNotServing, Detail: "gone"}}, nil, 0, ExitNotServing},
		"ours-does-not-serve":  {refused, external.ErrOurs, 0, ExitNotServing},
		"ours-does-not-listen": {refused, external.ErrNoUnmanaged, 0, ExitNotServing},
		"nothing":              {View{Verdict: Verdict{Code: ExitNotServing}}, external.ErrNoUnmanaged, 0, ExitNotServing},
		"ambiguous":            {View{owns: mine, Verdict: foreign}, external.ErrAmbiguous, 0, ExitFailed},
	} {
		h := &Host{Config: func() (*config.Config, error) { return &config.Config{}, nil }}
		h.FindUnmanaged = func(context.Context, config.Gateway, func(procfs.Stat) bool, func(string)) (*external.Unmanaged, error) {
			p, err := procfs.Hold(os.Getpid())
			testenv.Must(t, err)
			return &external.Unmanaged{Held: p}, c.find
		}
		r, err := h.adopt(context.Background(), View{}, lookAlways(c.now), func(string) {}, func(uint64) (Result, error) {
			t.Errorf("%s: a process was ended", name)
			return Result{}, nil
		})
		code, _ := Explain(err)
		if err == nil {
			code = ExitOK
		}
		if r.NewPID != c.pid || code != c.want {
			t.Errorf("%s: %+v, %v (%d)", name, r, err, code)
		}
	}
}

// TestBeforeAdoption checks which verdict makes an adoption impossible.
func TestBeforeAdoption(t *testing.T) {
	foreign := Verdict{Code: ExitNotServing, Reason: reason.ListenerForeign}
	unproven := Verdict{Code: ExitNotServing, Reason: reason.Unproven}
	for name, c := range map[string]struct {
		v   View
		pid int
		ok  bool
	}{
		"serves":                      {View{PID: 7, Verdict: Verdict{Serving: true}}, 7, true},
		"foreign":                     {View{PID: 7, Verdict: foreign}, 0, true},
		"ours-unproven":               {View{PID: 7, Verdict: unproven}, 0, true},
		"ours-unproven-by-the-record": {View{PID: 7, Record: &status.Record{}, Verdict: unproven}, 0, false},
		"none-by-the-record":          {View{Record: &status.Record{}, Verdict: unproven}, 0, true},
		"unproven":                    {View{Verdict: unproven}, 0, false},
		"no-supervisor":               {View{Verdict: Verdict{Code: ExitNoSupervisor}}, 0, false},
	} {
		if r, err := c.v.beforeAdoption(); r.NewPID != c.pid || (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestInRecord checks that the processes in the record are ours, and no others.
func TestInRecord(t *testing.T) {
	r := status.Record{}
	const far = 1 << 29 // no pid
	r.Init.PID, r.Gateway.PID = far, far+1
	r.Sidecars = []status.Child{{PID: far + 2}}
	r.Command = &status.Child{PID: far + 3}
	ours := inRecord(&r)
	for pid := far; pid < far+4; pid++ {
		if !ours(procfs.Stat{PID: pid}) {
			t.Errorf("%d is not ours", pid)
		}
	}
	if ours(procfs.Stat{PID: os.Getpid()}) {
		t.Error("this process is ours")
	}
}

// TestBelowGatewayInRecord checks that descendants of the gateway and hidden processes are
// not ended.
func TestBelowGatewayInRecord(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sleep 100; true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testenv.Must(t, cmd.Start())
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
	var children []int
	testenv.Eventually(t, "its child", func() (ok bool) {
		var err error
		children, err = procfs.Children(cmd.Process.Pid, 10)
		return err == nil && len(children) == 1
	})
	for what, c := range map[string]struct {
		pid, gateway int
		want         bool
	}{
		"itself":     {cmd.Process.Pid, cmd.Process.Pid, true},
		"child":      {children[0], cmd.Process.Pid, true},
		"grandchild": {children[0], os.Getpid(), true},
		"its parent": {os.Getpid(), cmd.Process.Pid, false},
		"no-gateway": {children[0], 0, false},
		"gone":       {1 << 29, cmd.Process.Pid, true},
	} {
		r := status.Record{}
		r.Gateway.PID = c.gateway
		if got := inRecord(&r)(procfs.Stat{PID: c.pid}); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
