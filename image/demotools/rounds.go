// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// rounds asks for N restarts by gatewayctl, as an operator does: each fourth
// with a new token, each fifth with a drain, and a probe after each third. It
// prints what gatewayctl said and the token in force after each. One process
// that asks for all of them is faster than as many calls of the engine.
func rounds(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		restart := []string{"restart"}
		if i%4 == 3 {
			restart = append(restart, "--rotate-token")
		}
		if i%5 == 4 {
			restart = append(restart, "--drain", "2s")
		}
		calls := [][]string{restart, {"token"}}
		if i%3 == 2 {
			calls = append(calls, []string{"probe"})
		}
		for _, call := range calls {
			out, err := exec.Command("/usr/local/bin/gatewayctl", call...).Output()
			if err != nil {
				return fmt.Errorf("round %d: gatewayctl %s: %w: %s", i, strings.Join(call, " "), err, out)
			}
			fmt.Printf("%s: %s\n", call[0], strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// repeat runs a command N times, and ends with the first that fails.
func repeat(args []string) error {
	n, err := number(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	return nil
}
