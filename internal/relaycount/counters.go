// SPDX-License-Identifier: Apache-2.0

// Package relaycount has the counters of gateway-relay. They are in a file of one page
// that PID 1 makes. The relay maps it and adds to it, without a system call, and
// gatewayctl reads it. PID 1 reads nothing of it.
package relaycount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/gateway-init/gateway-init/internal/sys"
)

// Name is the file's name in the runtime directory.
const Name = "relay-counters"

// Size is the size of the file. The relay cannot make it larger (RLIMIT_FSIZE).
const Size = 4096

// magic and version are the first two numbers of the file. PID 1 and gatewayctl may be
// of different builds for a moment, when an image is changed by hand.
const (
	magic   = 0x79616c65722d7767 // "gw-relay" where the low byte comes first
	version = 1
)

// Reason says why a client was not served.
type Reason uint8

// The reasons.
const (
	NoLife      Reason = iota // no gateway was proven in time
	Foreign                   // another user's socket has the other end
	Unproven                  // the other end could not be found out in time
	LocalLimit                // one local user had too many connections
	RemoteLimit               // one remote address had too many connections
	TotalLimit                // there were too many connections
	NoInode                   // a local client had closed its end, so it could not read an answer
	ClientGone                // the client left before it was served
	DialFailed                // the gateway did not accept a connection
	Reasons                   // their number
)

var reasonText = [Reasons]string{"no-life", "foreign", "unproven", "local-limit", "remote-limit", "total-limit", "no-inode", "client-gone", "dial-failed"}

// String returns the reason's word.
func (r Reason) String() string {
	if r < Reasons {
		return reasonText[r]
	}
	return "unknown"
}

// Counters is the content of the file.
type Counters struct {
	Accepted  uint64 // clients, since the container's start
	Active    uint64 // clients now
	Served    uint64 // clients that were connected to a proven gateway
	Refused   [Reasons]uint64
	ToGateway uint64 // bytes
	ToClient  uint64 // bytes
	Resets    uint64 // resets that were passed on
	Lives     uint64 // proven lives that PID 1 has told
	// LastForeign is 1 more than the uid that was last found at the other end of a
	// connection and is not the gateway's; 0: none was found.
	LastForeign uint64
}

// fields is the number of numbers in Counters.
const fields = int(unsafe.Sizeof(Counters{}) / 8)

const header = 2 * 8

// Init makes f an empty file of counters.
func Init(f *os.File) error {
	b := make([]byte, Size)
	binary.NativeEndian.PutUint64(b, magic)
	binary.NativeEndian.PutUint64(b[8:], version)
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("cannot empty the relay's counters: %w", err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("cannot write the relay's counters: %w", err)
	}
	return nil
}

// errNotCounters means that the file is of another kind.
var errNotCounters = errors.New("not the counters of this version of gateway-relay")

// Read returns the counters. The relay can write anything into its file, so they are
// its own word.
func Read(f *os.File) (c Counters, err error) {
	var b [header + 8*fields]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return c, fmt.Errorf("cannot read %s: %w", f.Name(), err)
	}
	ne := binary.NativeEndian
	if ne.Uint64(b[:]) != magic || ne.Uint64(b[8:]) != version {
		return c, fmt.Errorf("cannot read %s: %w", f.Name(), errNotCounters)
	}
	numbers := (*[fields]uint64)(unsafe.Pointer(&c))
	for i := range numbers {
		numbers[i] = ne.Uint64(b[header+8*i:])
	}
	return c, nil
}

// ForeignUID returns the uid of LastForeign, and whether there is one.
func (c Counters) ForeignUID() (uid uint32, ok bool) {
	return uint32(c.LastForeign - 1), c.LastForeign != 0 && c.LastForeign <= 1<<32
}

// Page is the mapped file, for the relay alone.
type Page struct{ c *Counters }

// Map maps the file of the inherited descriptor. The counts go on where an earlier relay
// stopped. The clients of that one are gone.
func Map(fd int) (*Page, error) {
	size, err := sys.RegularSize(fd)
	if err == nil && size != Size {
		err = errNotCounters
	}
	var b []byte
	if err == nil {
		b, err = sys.MapShared(fd, Size)
	}
	if err == nil && (binary.NativeEndian.Uint64(b) != magic || binary.NativeEndian.Uint64(b[8:]) != version) {
		err = errNotCounters
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use descriptor %d for the counters: %w", fd, err)
	}
	p := &Page{c: (*Counters)(unsafe.Pointer(&b[header]))}
	atomic.StoreUint64(&p.c.Active, 0)
	return p, nil
}

// Counters returns the numbers in the file. Every access must be an atomic one.
func (p *Page) Counters() *Counters { return p.c }

// Add adds n to one of the numbers.
func Add(number *uint64, n uint64) { atomic.AddUint64(number, n) }

// Subtract takes one away from one of the numbers.
func Subtract(number *uint64) { atomic.AddUint64(number, ^uint64(0)) }

// Refuse counts a client that was not served.
func (p *Page) Refuse(r Reason) { atomic.AddUint64(&p.c.Refused[r], 1) }

// Found notes the uid of a foreign socket.
func (p *Page) Found(uid uint32) { atomic.StoreUint64(&p.c.LastForeign, uint64(uid)+1) }
