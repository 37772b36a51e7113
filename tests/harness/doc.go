// SPDX-License-Identifier: Apache-2.0

// Package harness runs the shipped images for end-to-end tests. It starts
// containers with the README's flags, watches them and removes them.
//
//	c := harness.Start(t, harness.Options{Misbehave: map[string]any{"exit_code": 75}})
//	c.WaitServing(10 * time.Second)
//	before := c.Status().Gateway
//	c.MustCtl("restart")
//	harness.Eventually(t, 5*time.Second, "another pid", func() error { ... })
//
// A container belongs to one test or to several. Start gives a test its own
// container, to change and to break. Look gives it one that tests of the package
// share. Such tests only look at status, proofs, privileges, files and refusals,
// and the harness fails a test that changed it. Share is for tests that change it
// in turn. Batch makes many looks in one call of the engine, which takes longer
// than a look.
//
// Packages run in parallel, so a test that starts a container waits for a slot
// (GATEWAY_TEST_SLOTS). Rounds returns how often a test repeats a part, which is
// less in make test than in make long-rounds. testenv.AtMost returns the bound of a
// duration. make test asserts no duration. A test names its objects by NewName.
// Another process removes them when this one has exited, even by a panic or a
// signal.
//
// Every test runs as root. A test runs in the other two topologies, too
// (GATEWAY_TOPOLOGY=non-root and managed), if the topology can change its outcome.
// That is so if it depends on
//
//   - the requester: the FIFO's owner, the requester's user, a supervisor that is
//     not PID 1;
//   - the owner of a file, of the token, of the runtime directory, or of a process
//     that is signaled or swept;
//   - the proof: the owner of a listener, the identity of a process.
//
// A test of the state machine, of the configuration or of the gateway's own
// behavior depends on none of them. Each branch of the product on one user without
// root, or on another PID 1, has a named test. TestMain of a package names these
// tests (MainOptions.Topologies), each with its reason. In make topologies only
// they run; -run chooses others. A skip is a failure, so a test's table omits what
// one topology lacks. Tests of one topology alone are in tests/e2e/nonroot and
// tests/e2e/managed. They choose it themselves and run in make test.
//
// A container on an engine's bridge mostly has no [::1]. A test that needs it uses
// IPv6, and a test that needs its absence uses NoIPv6.
//
// The harness calls the engine's command line (ENGINE, default docker;
// DOCKER_HOST), and docker's API where that does the same in less time. It starts
// gatewayctl as root without the engine in a container with the README's flags,
// with the rights and namespaces of docker exec (enter.go), because the engine's
// exec took most of the tests' time. The agent's commands always are an exec of the
// engine. The harness reads the host's /proc, so tests run as root beside the
// daemon. No test sleeps to wait for an effect. Every wait has a condition and a
// deadline, which is never under a minute.
package harness
