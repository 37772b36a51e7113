// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// Logs returns the container's output, stdout before stderr. It includes everything
// that its processes wrote before this call.
func (c *Container) Logs() string {
	c.t.Helper()
	marks := c.markLog()
	for end := time.Now().Add(testenv.Patience); ; <-time.After(pollEvery / 10) {
		_, errRunning := c.hostPID()
		text := c.readLog()
		missing := false
		for _, mark := range marks {
			missing = missing || !strings.Contains(text, mark)
		}
		late := time.Now().After(end)
		if late && missing && errRunning == nil {
			c.t.Errorf("the engine has not copied the log of %s within %v: what is read of it lacks its end", c.Name, testenv.Patience)
		}
		if !missing || errRunning != nil || late {
			return logMark.ReplaceAllString(text, "")
		}
	}
}

// logMark is a line that we add, wherever it is. Without it the log is unchanged.
var logMark = regexp.MustCompile("\x1elog mark [0-9A-Z]+\n")

// markLog writes a line to each stream of the log. The engine copies a stream in
// order while the container runs. Once it has copied the line, it has copied
// everything before it. A stream that is full, closed or no pipe gets no line.
func (c *Container) markLog() (marks []string) {
	pid, err := c.hostPID()
	if err != nil {
		return nil
	}
	pipes := map[string]bool{}
	for _, fd := range []int{1, 2} {
		path := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
		pipe, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(pipe, "pipe:") || pipes[pipe] {
			continue
		}
		pipes[pipe] = true
		mark := "\x1elog mark " + rand.Text() + "\n"
		if writeNow(path, mark) {
			marks = append(marks, mark)
		}
	}
	return marks
}

// writeNow writes all of text to a pipe, or nothing (pipe(7), PIPE_BUF).
func writeNow(path, text string) bool {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, []byte(text))
	return err == nil && n == len(text)
}

// readLog returns the log that the engine has so far.
func (c *Container) readLog() string {
	c.t.Helper()
	a := dialAPI()
	if a == nil {
		r := Engine(c.t, nil, "logs", c.Name)
		return r.Stdout + r.Stderr
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	text, err := a.logs(ctx, c.Name)
	if err != nil {
		return fmt.Sprintf("%s\nno log: %v", text, err)
	}
	return text
}
