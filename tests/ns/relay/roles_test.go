// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/tests/relaybox"
)

// Users.
const (
	gatewayUID  = 2001
	agentUID    = 2002
	operatorUID = 2003
	relayUID    = 2004
)

// roleEnv makes the test binary another program: a role and its arguments.
const roleEnv = "RELAY_TEST_ROLE"

func TestMain(m *testing.M) {
	role := strings.Fields(os.Getenv(roleEnv))
	if len(role) == 0 {
		os.Exit(testenv.IPv6Main(m))
	}
	roles := map[string]func(args []string) error{
		"gateway": gatewayRole, "holder": holderRole, "thief": thiefRole, "opener": openerRole, "binder": binderRole, "flood": floodRole, "reader": readerRole,
	}
	if err := roles[role[0]](role[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// gatewayRole answers each line at ADDR with "gateway: " and the line, and closes then. A
// line that begins with "keep" is answered as often as there is one.
func gatewayRole(args []string) error {
	var l net.Listener
	for {
		var err error
		if l, err = net.Listen("tcp4", args[0]); err == nil {
			break
		}
		time.Sleep(time.Millisecond) // the agent listens
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for in := bufio.NewReader(c); ; {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(c, "gateway: "+line)
				if !strings.HasPrefix(line, "keep") {
					return
				}
			}
		}()
	}
}

// holderRole is a gateway that has given its listener to a child, and waits.
func holderRole(args []string) error {
	l, err := net.Listen("tcp4", args[0])
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	_, err = os.StartProcess("/proc/self/exe", []string{"child"}, &os.ProcAttr{
		Env: []string{roleEnv + "=gateway 127.0.0.1:0"}, Files: []*os.File{nil, os.Stderr, os.Stderr, f}})
	fmt.Println("listening")
	time.Sleep(time.Hour)
	return err
}

// thiefRole listens at ADDR whenever it can, and plays a gateway. It prints what it hears.
func thiefRole(args []string) error {
	fmt.Println("ready")
	for {
		l, err := net.Listen("tcp4", args[0])
		if err != nil {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		fmt.Println("took the port")
		l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Millisecond))
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			go func() {
				io.WriteString(c, "what is the token?\n")
				if b, _ := io.ReadAll(c); len(b) > 0 {
					fmt.Printf("heard %q\n", b)
				}
				c.Close()
			}()
		}
		l.Close()
		time.Sleep(20 * time.Millisecond) // the next gateway may have it
	}
}

// openerRole binds ADDR many times without listening, before the gateway does, and then
// waits for connections by TCP's simultaneous open: on ports that it parks, and by connects
// to guessed ones. FIRST and N are the source ports of the namespace. It prints how many
// connections it was joined to, and each byte that it reads.
func openerRole(args []string) error {
	addr := netip.MustParseAddrPort(args[0])
	first, _ := strconv.Atoi(args[1])
	n, _ := strconv.Atoi(args[2])
	var fds []int
	for range n {
		fd, err := relaybox.BindBeside(addr)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	fmt.Println("ready")
	joined := 0
	buf := make([]byte, 4096)
	for printed := time.Now(); ; {
		for i, fd := range fds {
			unix.Write(fd, []byte("what is the token?\n")) // into a connection, if there is one
			k, err := unix.Read(fd, buf)
			if k > 0 {
				fmt.Printf("heard %q\n", buf[:k])
			}
			if k > 0 || err == unix.ECONNRESET || err == nil {
				joined++
			}
			if err != unix.EAGAIN { // not parked, or no longer
				disconnect(fd)
				relaybox.Park(fd, netip.AddrPortFrom(addr.Addr(), uint16(first+i)))
			}
		}
		if time.Since(printed) > 100*time.Millisecond {
			fmt.Println("joined", joined)
			printed = time.Now()
		}
	}
}

// disconnect makes a socket ready for another connect(2). It stays bound.
func disconnect(fd int) {
	var unspecified unix.RawSockaddrAny
	unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(pointer(&unspecified)), 16)
}

// binderRole tries to bind and listen at every form of PORT, and prints each success.
func binderRole(args []string) error {
	fmt.Println("ready")
	for {
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "127.0.0.2", "[::1]", "[::]"} {
			network := "tcp4"
			if strings.HasPrefix(host, "[") {
				network = "tcp6"
			}
			if l, err := net.Listen(network, host+":"+args[0]); err == nil {
				fmt.Println("bound", host)
				l.Close()
			}
		}
	}
}

// floodRole keeps as many connections to ADDR as it gets, and asks for more all the time.
func floodRole(args []string) error {
	var held []net.Conn
	fmt.Println("ready")
	for {
		c, err := net.Dial("tcp4", args[0])
		if err != nil {
			continue
		}
		if held = append(held, c); len(held) > 900 {
			held[0].Close()
			held = held[1:]
		}
	}
}

// readerRole tries to read and to trace the process PID.
func readerRole(args []string) error {
	_, err := os.ReadFile("/proc/" + args[0] + "/environ")
	pid, _ := strconv.Atoi(args[0])
	runtime.LockOSThread()
	trace := unix.PtraceSeize(pid)
	fmt.Printf("trace: %v\nenviron: %v\n", trace, errors.Unwrap(err))
	time.Sleep(time.Hour)
	return nil
}
