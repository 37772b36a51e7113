// Package harness runs the shipped images for end-to-end tests: containers with
// the README's flags, started, watched and thrown away.
//
//	c := harness.Start(t, harness.Options{Misbehave: map[string]any{"exit_code": 75}})
//	c.WaitServing(10 * time.Second)
//	before := c.Status().Gateway
//	c.MustCtl("restart")
//	harness.Eventually(t, 5*time.Second, "another pid", func() error { ... })
//
// It drives the engine's command line (ENGINE, default docker; DOCKER_HOST) and
// reads the host's /proc, so tests run as root beside the daemon. Nothing here
// sleeps to wait for an effect: every wait has a condition and a deadline.
package harness
