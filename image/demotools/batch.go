// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// batchCall is a program to run, batchResult its end. Code is a shell's: 126 for
// a program that may not be executed, 127 for none, 128+n for signal n.
type (
	batchCall struct {
		Args  []string `json:"args"`
		Stdin string   `json:"stdin"`
	}
	batchResult struct {
		Code   int    `json:"code"`
		Stdout string `json:"stdout"`
		Stderr string `json:"stderr"`
	}
)

// batchRuns runs the programs of a JSON list on stdin, one after the other, and
// prints the list of their ends: many looks by one call of the engine.
func batchRuns([]string) error {
	var calls []batchCall
	if err := json.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		return err
	}
	results := make([]batchResult, len(calls))
	for i, call := range calls {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(call.Args[0], call.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader([]byte(call.Stdin)), &stdout, &stderr
		err := cmd.Run()
		results[i] = batchResult{0, stdout.String(), stderr.String()}
		switch exit := (*exec.ExitError)(nil); {
		case errors.As(err, &exit):
			status := exit.Sys().(syscall.WaitStatus)
			if results[i].Code = status.ExitStatus(); status.Signaled() {
				results[i].Code = 128 + int(status.Signal())
			}
		case errors.Is(err, fs.ErrPermission):
			results[i].Code, results[i].Stderr = 126, err.Error()
		case err != nil:
			results[i].Code, results[i].Stderr = 127, err.Error()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}
