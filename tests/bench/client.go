// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// tool is a program that ends by itself.
type tool struct {
	name string
	argv []string
}

func (t tool) String() string { return t.name }

// Names that goals refer to.
const (
	hello        = "hello, in Go"
	clientOurs   = "gatewayctl version"
	clientBefore = "gatewayctl version, before"
)

// client measures programs that an operator runs, beside the least that Go does.
func (b *bench) client() error {
	tools := []tool{{hello, []string{b.file("hello")}}, {clientOurs, []string{b.file("gatewayctl"), "version"}},
		{"gateway-init --version", []string{b.file("gateway-init"), "--version"}}}
	if !b.missing[beforeDir] {
		tools = append(tools, tool{clientBefore, []string{b.file(beforeDir + "/gatewayctl"), "version"}})
	}
	took := map[string]sample{}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	err = turns(b, tools, b.counts.starts, func(t tool) error {
		ns, err := b.runTool(t, null)
		took[t.name] = append(took[t.name], ns)
		return err
	})
	if err != nil {
		return err
	}
	t := &table{
		title: "A program's whole run",
		about: fmt.Sprintf("From just before the fork to the exit. Medians of %d, in turns.", b.counts.starts),
		head:  []string{"program", "ms", "10 % to 90 %", "of hello"},
	}
	for _, tool := range tools {
		s := took[tool.name]
		t.add(tool.name, s.mid(time.Millisecond), s.spread(time.Millisecond), ratio(s.median(), took[hello].median()))
	}
	b.report.add(t)
	b.report.require("gatewayctl version, of a hello program in Go", "", 1.4, of(took[clientOurs].middle(one), took[hello].middle(one)),
		of(took[clientBefore].middle(one), took[hello].middle(one)))
	return nil
}

// runTool runs a program and returns how long it took.
func (b *bench) runTool(t tool, null *os.File) (took int64, err error) {
	b.docker.do(func() {
		began := now()
		pid, startErr := syscall.ForkExec(t.argv[0], t.argv, &syscall.ProcAttr{
			Dir: "/", Env: []string{"PATH=" + path}, Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}})
		if err = startErr; err != nil {
			return
		}
		var ws syscall.WaitStatus
		for err = syscall.EINTR; err == syscall.EINTR; {
			_, err = syscall.Wait4(pid, &ws, 0, nil)
		}
		took = now() - began
		if err == nil && ws != 0 {
			err = fmt.Errorf("it ended with %d", ws.ExitStatus())
		}
	})
	return took, err
}
