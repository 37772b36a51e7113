// SPDX-License-Identifier: Apache-2.0

// Package box starts the built bin/gateway-init as PID 1 of new PID, mount,
// network and IPC namespaces, with nothing between the test and the kernel: no
// engine, no image, no shim. A box costs some 20 ms, so a test may start
// hundreds; it can be given what no engine would give: closed descriptors, no
// /proc, a runtime directory full of another life's files.
//
//	func TestMain(m *testing.M) { os.Exit(box.Main(m)) }
//
//	b := box.Start(t, box.Options{Misbehave: map[string]any{"ignore_term": true}})
//	b.WaitServing(10 * time.Second)
//	b.Signal(unix.SIGTERM)
//	exit := b.Wait(9 * time.Second)
//
// The root file system is a tmpfs with the layout of gateway-demo:dev, which
// only the box sees; nothing has to be unmounted. It needs root and what make
// image-context builds; GATEWAY_INIT_BIN names a directory with other binaries,
// to see which test fails with a broken one.
package box
