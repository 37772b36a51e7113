// SPDX-License-Identifier: Apache-2.0

// Package flags runs tests of tests/ns with a gateway-init that was built by
// go build ./init, without any flag. docs/go-runtime.md promises that such an init is
// correct and lacks nothing but the extras that the test names.
package flags
