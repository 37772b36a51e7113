// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"os"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/tests/ns/box"
)

func TestMain(m *testing.M) { os.Exit(box.Main(m)) }

type obj = map[string]any

// serveBy bounds the wait for a gateway that serves.
const serveBy = 30 * time.Second
