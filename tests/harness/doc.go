// SPDX-License-Identifier: Apache-2.0

// Package harness runs the shipped images for end-to-end tests: containers with
// the README's flags, started, watched and thrown away.
//
//	c := harness.Start(t, harness.Options{Misbehave: map[string]any{"exit_code": 75}})
//	c.WaitServing(10 * time.Second)
//	before := c.Status().Gateway
//	c.MustCtl("restart")
//	harness.Eventually(t, 5*time.Second, "another pid", func() error { ... })
//
// Whose a container is. Start gives a test one of its own, to change and to break.
// Look gives it one that the tests of the package share, for those that only
// look: at status, proofs, privileges, files, and at what is refused. The harness
// fails a test that left it changed. Share is for tests that change it in turn.
// Batch makes many looks by one call of the engine, which costs more than the look.
//
// Packages run side by side, so a test that starts a container waits for a slot
// (GATEWAY_TEST_SLOTS). Rounds says how often a test repeats what it repeats: less
// often in make test than in make long-rounds, and testenv.AtMost how long something
// may take: make test asserts no time but that it ends. What a test makes has a name
// by NewName, and another process removes it when this one has ended, by a panic
// or a signal, too.
//
// Where a test runs. Everything runs as root. A test runs in the other two
// topologies, too (GATEWAY_TOPOLOGY=non-root and managed), if the topology can
// change its outcome: it depends on
//
//   - who requests: the FIFO's owner, the requester's user, a supervisor that is
//     not PID 1;
//   - who owns: a file, the token, the runtime directory, a process that is
//     signalled or swept;
//   - who is proven: whose a listener is, by what a process is known.
//
// A test of the state machine, of the configuration or of the gateway's own
// behavior depends on none of them. Each branch of the product on one user
// without root, or on another PID 1, has a test that is named. TestMain of a
// package names these tests (MainOptions.Topologies), each with its reason, and
// there they alone run, in make topologies; -run chooses others. A skip is a
// failure, so what one topology lacks is left out of a test's table. What only one
// topology has is in tests/e2e/nonroot and tests/e2e/managed, which choose it
// themselves and run in make test.
//
// A container on an engine's bridge mostly has no [::1]. A test that needs it
// starts its container with IPv6, and one that needs its absence with NoIPv6.
//
// It drives the engine's command line (ENGINE, default docker; DOCKER_HOST), and
// docker's API where that does the same and costs less. gatewayctl as root in a
// container with the README's flags is started without the engine, with the rights
// and namespaces that docker exec gives it (enter.go): most of what the tests took
// was the engine's exec. What the agent does always is an exec of the engine's. The
// harness reads the host's /proc, so tests run as root beside the daemon. Nothing here sleeps to wait for an
// effect: every wait has a condition and a deadline, which is never under a minute.
package harness
