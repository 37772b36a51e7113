// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/logring"
)

// Names of log events; docs/logging.md lists them.
const (
	evHardening       = "hardening"
	evNoSeparation    = "no-separation"
	evPresetToken     = "preset-token"
	evEngineGroups    = "engine-groups"
	evCleanup         = "cleanup"
	evConfigHint      = "config-hint"
	evSharedNamespace = "shared-pid-namespace"
	evLogMoved        = "log-moved"
	evNotPublished    = "not-published"
)

// logger returns a logger that writes one line per event. Each part of the
// program adds its origin once.
func logger(format string, w io.Writer) zerolog.Logger {
	if format == "text" {
		w = textWriter{w}
	}
	zerolog.TimeFieldFormat = logring.TimeFormat
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	return zerolog.New(timeFirst{w}).With().Timestamp().Logger().Level(zerolog.InfoLevel)
}
