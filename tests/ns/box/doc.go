// SPDX-License-Identifier: Apache-2.0

// Package box starts the built bin/gateway-init as PID 1 of new PID, mount, network
// and IPC namespaces. No engine, image or shim is between the test and the kernel.
// A box takes some 20 ms, so a test may start hundreds. It can have conditions that
// no engine allows: closed descriptors, no /proc, a runtime directory full of files
// of an earlier run.
//
//	func TestMain(m *testing.M) { os.Exit(box.Main(m)) }
//
//	b := box.Start(t, box.Options{Misbehave: map[string]any{"ignore_term": true}})
//	b.WaitServing(10 * time.Second)
//	b.Signal(unix.SIGTERM)
//	exit := b.Wait(9 * time.Second)
//
// The root file system is a tmpfs with the layout of gateway-demo:dev. Only the box
// sees it, so it needs no unmount. A box needs root and the binaries of make
// image-context. GATEWAY_INIT_BIN names a directory with other binaries, to see
// which test fails with a broken one.
package box
