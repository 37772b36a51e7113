// SPDX-License-Identifier: Apache-2.0

// Package exitauth is the exact-exit authorization (docs/controller.md): a file by which
// root, which ends one gateway of a supervisor without root from outside, tells the
// supervisor that the exit is no failure. A request over the FIFO would not do, because
// the FIFO and all data in it belong to the user that the agent has, too.
package exitauth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/pathcheck"
	"github.com/gateway-init/gateway-init/internal/procfs"
)

const (
	fileName    = "exit-authorization"
	programName = "gatewayctl" // the controller's name in argv[0], which a supervisor checks
	magic       = "gateway-exit-1"
	maxFile     = 128
)

// Dirs returns the root-owned directories in which the file may be, best first. The
// supervisor's own directory is not among them, because it belongs to the
// supervisor's user.
func Dirs() []string { return []string{"/run/gateway-init", "/dev/.gateway-init"} }

// Authorization names the gateway that may end and the controller that ends it.
type Authorization struct{ Gateway, Controller procfs.ID }

// Errors of Check.
var (
	ErrNone    = errors.New("no authorization")      // none for this exit
	ErrRefused = errors.New("authorization refused") // there is one, and it does not count
)

// String returns the file's content.
func (a Authorization) String() string {
	return fmt.Sprintf("%s %d %d %d %d\n", magic, a.Gateway.PID, a.Gateway.Start, a.Controller.PID, a.Controller.Start)
}

// parse accepts only text that String makes.
func parse(data []byte) (a Authorization, err error) {
	var n [5]uint64
	for i, word := range strings.Fields(string(data)) {
		bits := 63
		if i%2 == 1 {
			bits = 31 // a pid
		}
		if i > 0 && i < len(n) {
			n[i], _ = strconv.ParseUint(word, 10, bits) // String does not write what is no number
		}
	}
	a.Gateway = procfs.ID{PID: int(n[1]), Start: n[2]}
	a.Controller = procfs.ID{PID: int(n[3]), Start: n[4]}
	if a.String() != string(data) {
		return a, fmt.Errorf("%w: it is not written as gatewayctl writes it", ErrRefused)
	}
	return a, nil
}

// Publish writes a into dir, a root-owned directory, in one step.
func Publish(dir *os.File, a Authorization) error {
	return fsafe.Replace(dir, fileName, []byte(a.String()), 0o444)
}

// Withdraw removes the file that Publish wrote.
func Withdraw(dir *os.File) error {
	if err := fsafe.Remove(dir, fileName); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Check looks for an authorization of the exit of gateway, whose parent has just
// reaped it, and returns the controller's pid.
func Check(gateway procfs.ID) (controller int, err error) { return checkPlace(Dirs(), gateway) }

func checkPlace(dirs []string, gateway procfs.ID) (int, error) {
	refused := ErrNone
	for _, name := range dirs {
		a, err := readFile(name)
		switch {
		case errors.Is(err, ErrNone), errors.Is(err, fs.ErrNotExist):
		case err != nil:
			refused = fmt.Errorf("%w: %w", ErrRefused, err)
		case a.Gateway != gateway: // it is for another exit
		default:
			if err = verifyRootProcess(a.Controller); err == nil {
				return a.Controller.PID, nil
			}
			refused = fmt.Errorf("%w: its controller, pid %d: %w", ErrRefused, a.Controller.PID, err)
		}
	}
	return 0, refused
}

// readFile returns the authorization in a directory. It accepts the file only if root
// alone can have put it there, so it checks each directory on the way to it and not
// only the last.
func readFile(unsafePath string) (a Authorization, err error) {
	dir, err := openPlace(unsafePath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fsafe.ErrUnsafe) {
		err = ErrNone
	}
	if err != nil {
		return a, err
	}
	defer dir.Close()
	if _, err := pathcheck.Path(unsafePath, 0); err != nil {
		return a, err
	}
	if _, err := fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0), NotWritableByOthers: true}); err != nil {
		return a, err
	}
	data, _, err := fsafe.ReadAt(dir, fileName, fsafe.Want{Type: fsafe.Regular, UID: fsafe.ID(0), Mode: fsafe.Mode(0o444), Links: 1}, maxFile)
	if err != nil {
		return a, err
	}
	return parse(data)
}

// openPlace opens a root-owned directory that has a file of the name. Any other
// directory holds no authorization: it may be the supervisor's own (XDG_RUNTIME_DIR=/run).
// The right to search it is enough (O_PATH), because a tmpfs of mode 0711 cannot be read.
func openPlace(unsafePath string) (*os.File, error) {
	parent, err := fsafe.OpenDir(path.Dir(unsafePath))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := fsafe.OpenAt(parent, path.Base(unsafePath), unix.O_DIRECTORY|unix.O_PATH)
	if err != nil {
		return nil, err
	}
	_, err = fsafe.Verify(dir, fsafe.Want{Type: fsafe.Directory, UID: fsafe.ID(0)})
	if err == nil {
		_, err = fsafe.StatAt(dir, fileName)
	}
	if err != nil {
		dir.Close()
	}
	return dir, err
}

// verifyRootProcess returns nil if p is alive, all of its uids are root's, and its
// argv[0] names the controller's program. Only a process of root can look like that.
func verifyRootProcess(p procfs.ID) error {
	k, err := p.Hold()
	if err != nil {
		return err
	}
	defer k.Close()
	switch {
	case k.Ended():
		return procfs.ErrGone
	case k.UIDs != [4]uint32{}:
		return errors.New("it is not root")
	case len(k.Argv) == 0 || path.Base(k.Argv[0]) != programName:
		return fmt.Errorf("it is not called %s", programName)
	}
	return nil
}
