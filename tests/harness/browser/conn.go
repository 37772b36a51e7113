// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// patience bounds one call, and the end of the browser. On an idle machine both
// take less than a second.
const patience = time.Minute

// conn is the DevTools protocol over pipes. Each message is a JSON object with a
// NUL after it. conn owns both descriptors.
type conn struct {
	in, out *os.File

	mu      sync.Mutex
	calls   int
	waiting map[int]chan message
	console map[string][]string // by session
	ended   error
}

// message is a call, its answer, or an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func newConn(in, out *os.File) *conn {
	c := &conn{in: in, out: out, waiting: map[int]chan message{}, console: map[string][]string{}}
	go c.read()
	return c
}

// read reads messages until the browser has closed its end.
func (c *conn) read() {
	for r := bufio.NewReader(c.out); ; {
		data, err := r.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(data[:len(data)-1], &m)
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.deliver(m)
	}
}

// fail ends all calls, now and later.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = fmt.Errorf("the browser has ended: %w", err)
	for id, answer := range c.waiting {
		delete(c.waiting, id)
		close(answer)
	}
}

// deliver gives an answer to its call, and keeps what the page's console shows.
func (c *conn) deliver(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.waiting[m.ID]; ok {
		delete(c.waiting, m.ID)
		answer <- m // has room for one
	}
	switch m.Method {
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
		line, _ := json.Marshal(m.Params)
		c.console[m.Session] = append(c.console[m.Session], fmt.Sprintf("%s %.300s", m.Method, line))
	}
}

// consoleOf returns the last messages of a page's console.
func (c *conn) consoleOf(session string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.console[session]
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// call sends a call for a session ("" is the browser's own) and decodes the result.
// Errors do not show params, which may have a secret.
func (c *conn) call(session, method string, params, result any) error {
	answer, err := c.send(message{Session: session, Method: method, Params: params})
	if err != nil {
		return fmt.Errorf("cannot call %s: %w", method, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("%s has no answer: %w", method, c.ended)
		case m.Error != nil:
			return fmt.Errorf("%s is refused: %s", method, m.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(patience):
		return fmt.Errorf("%s has no answer after %v", method, patience)
	}
}

// send writes a call and returns the channel for its answer.
func (c *conn) send(m message) (chan message, error) {
	answer := make(chan message, 1)
	c.mu.Lock()
	err := c.ended
	c.calls++
	m.ID = c.calls
	if err == nil {
		c.waiting[m.ID] = answer
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(m)
	if err == nil {
		_, err = c.in.Write(append(data, 0))
	}
	return answer, err
}

// close closes both pipes. A browser that still runs exits then.
func (c *conn) close() error { return errors.Join(c.in.Close(), c.out.Close()) }
