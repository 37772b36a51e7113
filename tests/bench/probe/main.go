// SPDX-License-Identifier: Apache-2.0

// Command probe is the child that the benchmark runs under an init. It is assembly
// before Go's runtime, which never starts. Its first instruction is the moment its
// exec(2) is complete. It is one thread, and sleeps until a signal comes.
//
//	probe                   write a record, then one for each SIGUSR1
//	probe o[rphans] ...     the same, but first leave 500 orphans for each
//	                        argument, one batch after the other, and write a
//	                        record when the last has been reaped
//	probe s[leepers] ...    start 500 children for each argument, which sleep
//	probe x PROGRAM [ARG]   write a record, execute the program
//
// A record is the 16 bytes of clock_gettime(CLOCK_MONOTONIC), on stdout. The number
// of arguments is the number of batches, so nothing has to be parsed.
//
//	go build -ldflags '-E main.start' ./tests/bench/probe
package main

// start is the entry point for the kernel (-E).
func start()

var _ = start // no Go code calls it

func main() { panic("built without -E main.start") }
