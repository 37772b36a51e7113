// SPDX-License-Identifier: Apache-2.0

// Command probe is what the benchmark runs under an init. It is assembly before
// Go's runtime, which never starts: its first instruction is the moment its
// exec(2) is complete, it is one thread, and it sleeps until a signal comes.
//
//	probe                   write a record, then one for each SIGUSR1
//	probe o[rphans] ...     the same, but first leave 500 orphans for each
//	                        argument, one batch after the other, and write a
//	                        record when the last has been reaped
//	probe s[leepers] ...    start 500 children for each argument, which sleep
//	probe x PROGRAM [ARG]   write a record, execute the program
//
// A record is the 16 bytes of clock_gettime(CLOCK_MONOTONIC), on stdout. The
// number of arguments says how many batches, so that there is nothing to parse.
//
//	go build -ldflags '-E main.start' ./tests/bench/probe
package main

// start is where the kernel enters (-E).
func start()

var _ = start // nothing of Go's calls it

func main() { panic("built without -E main.start") }
