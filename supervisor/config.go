// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/supervisor/launch"
)

// Config holds the supervisor's dependencies. The supervisor does not modify it.
type Config struct {
	Settings *config.Config
	Gateway  *launch.Child // nil: --no-gateway
	Command  *launch.Child // nil: none
	Sidecars []launch.Child
	Relay    *Relay // nil: no port is published, or the gateway has its sockets

	// PickPort returns the port of the next gateway, and is nil where that is always the
	// same. It may fail if no port is free.
	PickPort func() (uint16, error)
	// Held has the sockets' cookies if the gateway gets listening sockets of PID 1. No other
	// process can then take its port.
	Held []uint64

	// Started has settings that every child gets back, or is nil.
	Started *launch.Started

	// Worker is the launch of a proof worker; the supervisor fills in the job.
	Worker launch.Child

	Token    TokenStore
	Server   Server
	Sweeper  Sweeper
	Validate func() error // called before a running gateway is stopped for a restart
	Room     func() error // says with figures that a restart would find no room for its processes
	Prepare  func() error // called before each start, and before a running gateway is stopped for a restart

	// Launchable says that the next launch would fail, because the program's interpreter or
	// the working directory has gone.
	Launchable func() error

	// Terminal means that the container has a terminal, whose end is a SIGHUP.
	Terminal bool
	// Lend is called with true before the command gets the terminal, and with false when it
	// has ended or could not be started. Between the two calls no log line may reach the
	// terminal. It is nil where the command has none.
	Lend func(lent bool)
	// Evict ends the newest processes of the agent, but none that spare names, until they
	// had n threads. It returns their number. It is nil where that is not wanted, or the
	// agent has no uid of its own.
	Evict func(n int, spare func(pid int) bool) (ended int, err error)

	// FreePort ends the processes of the agent that have the gateway's port, but none that
	// spare names, and returns their pids. If it cannot tell which these are and all is set,
	// it ends every process of the agent, but none that spare names, and every is true. It is
	// nil as Evict is.
	FreePort func(port uint16, spare func(pid int) bool, all bool) (ended []int, every bool, err error)

	// Unseparated means that the gateway and the agent both have our own uid. A uid
	// then proves nothing, and a listener is the gateway's if its processes hold
	// the socket.
	Unseparated bool

	// Authorized reports whether root has ended the gateway from outside, after it
	// was reaped, and by which process (exitauth.Check). It is nil where root can
	// send requests itself.
	Authorized func(gateway procfs.ID) (controller int, err error)

	// Clients reports whether gatewayctl runs a client that has the token, or ran
	// one that may have sent it to another process. ForgetClients is called after a
	// new token was put in force.
	Clients       func() (bool, error)
	ForgetClients func() error

	Others  []uint32 // further UIDs whose processes end with the container
	Signals Signals
	Base    status.Record             // the fields that never change
	Publish func(status.Record) error // writes the record; an error leaves the old one
	Log     zerolog.Logger            // without an origin
}

// TokenStore keeps the token in its file (tokenfile.Store). Sum is the SHA-256 of the
// token in force.
type TokenStore interface {
	Open() (*os.File, error) // the file of the token in force, for one child; the caller closes it
	Sum() [32]byte
	Status() status.Token
	Prepare() error // write the next one beside it
	Commit() error  // the next one replaces it
	Abort() error   // forget the next one
}

// Server is the request FIFO and the replies (control.Server).
type Server interface {
	Requests() <-chan control.Incoming
	Reply(control.Reply) error
	// Check creates the FIFO again if problem is not nil.
	Check() (problem, err error)
}

// Sweeper ends the remaining processes of a former gateway.
type Sweeper interface {
	// Track must be called before anything is started. child reports whether a pid
	// is a child that was started here. last returns the last gateway, or pid 0
	// when all of its processes have been swept. A sweeper by uid ignores both.
	Track(child func(pid int) bool, last func() procfs.ID)
	Note() error                           // record the processes that a living gateway has started
	Terminate() error                      // SIGTERM and SIGCONT to all of them
	Sweep() error                          // SIGKILL to all of them
	Alive() (bool, error)                  // whether any of them is left; zombies count
	Signal(uid uint32, sig syscall.Signal) // to all processes of another UID, best effort
	Others(uid uint32) (bool, error)       // whether any process of that UID lives
}

// Signals holds the channels of the signals that the loop receives. boot subscribes
// to them before anything else.
type Signals struct {
	Child    chan os.Signal // SIGCHLD; one slot is enough, one signal may mean many
	Stop     chan os.Signal // TERM, INT, QUIT, HUP, PWR, RTMIN+3
	Noted    chan os.Signal // WINCH, USR1, USR2, which mean a stop to other programs and nothing here
	Shared   chan os.Signal // another container shares our PID namespace
	OnShared func()
}

// again makes the loop reap again after it has looked at all other channels.
func (g Signals) again() {
	select {
	case g.Child <- syscall.SIGCHLD:
	default:
	}
}

func (g Signals) shared() {
	if g.OnShared != nil {
		g.OnShared()
	}
}
