// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// namePrefix begins the name of everything that a test makes in an engine.
const namePrefix = "gateway-init-test-"

// owner identifies this process in the names of its containers and files.
type owner struct {
	prefix string // of its containers, images and volumes
	dir    string // of its files on the host
	alive  *os.File
}

// reap runs in another process, whose stdin is a pipe from this process. So it gets
// an EOF when this process exits, even by a panic or a signal. Then it removes the
// rest.
const reap = `cat >/dev/null
for id in $($1 ps -aq --filter name="$2"); do $1 rm -f -v "$id"; done
for name in $($1 images --format '{{.Repository}}:{{.Tag}}' --filter reference="$2*"); do $1 rmi "$name"; done
for id in $($1 volume ls -q --filter name="$2"); do $1 volume rm -f "$id"; done
rm -rf "$3" /dev/shm/"$2"*`

// owned is made before the first object that has to be removed.
var owned = sync.OnceValues(func() (*owner, error) {
	o := &owner{prefix: namePrefix + strings.ToLower(rand.Text()[:8])}
	var err error
	if o.dir, err = os.MkdirTemp("", o.prefix+"-"); err != nil {
		return nil, err
	}
	end, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	o.alive = alive
	reaper := exec.Command("sh", "-c", reap, "reap", engine(), o.prefix, o.dir)
	reaper.Stdin = end
	// A terminal may end this session, so the reaper has its own.
	reaper.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := reaper.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the process that removes what tests leave: %w", err)
	}
	// Directories of testing.T are removed with the rest.
	return o, os.Setenv("TMPDIR", o.dir)
})

func owning(t testing.TB) *owner {
	t.Helper()
	o, err := owned()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// NewName returns a unique name for a container, an image or a volume. The
// container, image or volume is removed when this process ends, if not before.
func NewName(t testing.TB) string {
	t.Helper()
	return owning(t).prefix + "-" + strings.ToLower(rand.Text()[:12])
}
