// SPDX-License-Identifier: Apache-2.0

// Package version has the version that both binaries report.
package version

// None is the version of a build for which the linker set none.
const None = "dev"

// String is set by the linker: -ldflags '-X github.com/gateway-init/gateway-init/internal/version.String=1.2.3'.
var String = None
