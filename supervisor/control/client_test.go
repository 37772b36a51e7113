// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/reason"
)

// fake is the supervisor's end in a temporary directory, with any owner.
type fake struct {
	t      *testing.T
	path   string
	dir    *os.File
	server *Server
}

func newFake(t *testing.T) *fake {
	t.Helper()
	path := t.TempDir()
	check(t, os.Chmod(path, 0o711))
	dir, err := os.Open(path)
	check(t, err)
	t.Cleanup(func() { dir.Close() })
	return &fake{t: t, path: path, dir: dir}
}

// start serves requests. answer runs for each of them, in its own goroutine.
func (f *fake) start(answer func(s *Server, r Incoming)) {
	f.t.Helper()
	server, err := NewServer(f.dir)
	check(f.t, err)
	f.server = server
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case r := <-server.Requests():
				answer(server, r)
			case <-done:
				return
			}
		}
	}()
	f.t.Cleanup(func() { close(done); <-ended; server.Close() })
}

func (f *fake) client() *Client {
	c := NewClient(f.dir)
	c.Owner = uint32(os.Geteuid())
	return c
}

func (f *fake) fifo() string { return filepath.Join(f.path, Dir, FIFO) }

func (f *fake) reply(nonce string) string { return filepath.Join(f.path, Dir, Replies, nonce) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within returns a context whose deadline no passing run comes near.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// soon returns a context whose deadline the run is meant to reach.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestClientReplies(t *testing.T) {
	tests := map[string]Reply{
		"ok":              {Outcome: OK, OldPID: 12, NewPID: 34},
		"already-running": {Outcome: AlreadyRunning, OldPID: 12, NewPID: 12},
		"stopped":         {Outcome: Stopped, OldPID: 12},
		"failed":          {Outcome: Failed, Reason: reason.ListenerForeign},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.start(func(s *Server, r Incoming) {
				if r.Err != nil || r.Action != Restart || !r.Rotate || r.Drain != 7 {
					t.Errorf("request %+v", r)
				}
				reply := test
				reply.Nonce = r.Nonce
				s.Reply(reply)
			})
			got, err := f.client().Do(within(t), Request{Action: Restart, Rotate: true, Drain: 7}, nil)
			check(t, err)
			want := test
			want.Nonce = got.Nonce
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestClientStages(t *testing.T) {
	f := newFake(t)
	var stage atomic.Value
	stage.Store("")
	f.start(func(s *Server, r Incoming) { s.Reply(Reply{Nonce: r.Nonce, Outcome: Accepted}) })
	c := f.client()
	var nonce string
	c.Stage = func(n string) string { nonce = n; return stage.Load().(string) }
	next := map[string]string{"accepted": "stopping", "stopping": "starting", "starting": "proving"}
	var seen []string
	got, err := c.Do(within(t), Request{Action: Restart}, func(s string) {
		seen = append(seen, s)
		if s == "proving" {
			check(t, put(f, nonce, "v1 "+nonce+" complete ok 1 2\n", 0o600))
		}
		stage.Store(next[s])
	})
	if err != nil || got.NewPID != 2 {
		t.Fatalf("Do = %+v, %v", got, err)
	}
	if want := []string{"accepted", "stopping", "starting", "proving"}; !slices.Equal(seen, want) {
		t.Errorf("stages %v, want %v", seen, want)
	}
}

func TestClientNonceIsFresh(t *testing.T) {
	f := newFake(t)
	f.start(func(s *Server, r Incoming) { s.Reply(Reply{Nonce: r.Nonce, Outcome: OK}) })
	a, err := f.client().Do(within(t), Request{Action: Probe}, nil)
	check(t, err)
	b, err := f.client().Do(within(t), Request{Action: Probe, Nonce: a.Nonce}, nil)
	check(t, err)
	if a.Nonce == b.Nonce || !isNonce(a.Nonce) {
		t.Errorf("nonces %q and %q", a.Nonce, b.Nonce)
	}
}

func TestClientRefusesToEncode(t *testing.T) {
	f := newFake(t)
	if _, err := f.client().Do(within(t), Request{Action: "explode"}, nil); !errors.Is(err, ErrUnknownAction) {
		t.Errorf("Do = %v, want ErrUnknownAction", err)
	}
}

// TestClientFIFO checks that the file at the FIFO's place decides the error, and that
// a client does not wait for a supervisor that cannot come.
func TestClientFIFO(t *testing.T) {
	tests := map[string]struct {
		plant func(t *testing.T, f *fake)
		want  error
	}{
		"no-directory": {func(t *testing.T, f *fake) { check(t, os.RemoveAll(filepath.Join(f.path, Dir))) }, ErrNoSupervisor},
		"missing":      {func(t *testing.T, f *fake) { check(t, os.Remove(f.fifo())) }, ErrNoSupervisor},
		"no-reader": {func(t *testing.T, f *fake) {
			check(t, os.Remove(f.fifo()))
			check(t, syscall.Mkfifo(f.fifo(), 0o600))
		}, ErrNoSupervisor},
		"regular-file": {func(t *testing.T, f *fake) {
			check(t, os.Remove(f.fifo()))
			check(t, os.WriteFile(f.fifo(), nil, 0o600))
		}, ErrUnsafe},
		"link": {func(t *testing.T, f *fake) {
			check(t, os.Rename(f.fifo(), f.fifo()+".real"))
			check(t, os.Symlink(f.fifo()+".real", f.fifo()))
		}, ErrUnsafe},
		"mode":        {func(t *testing.T, f *fake) { check(t, os.Chmod(f.fifo(), 0o620)) }, ErrUnsafe},
		"second-link": {func(t *testing.T, f *fake) { check(t, os.Link(f.fifo(), f.fifo()+"2")) }, ErrUnsafe},
		"directory-writable": {func(t *testing.T, f *fake) {
			check(t, os.Chmod(filepath.Join(f.path, Dir), 0o777))
		}, ErrUnsafe},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.start(func(s *Server, r Incoming) { t.Error("a request arrived") })
			test.plant(t, f)
			_, err := f.client().Do(within(t), Request{Action: Probe}, nil)
			if !errors.Is(err, test.want) {
				t.Errorf("Do = %v, want %v", err, test.want)
			}
			if test.want == ErrUnsafe && errors.Is(err, ErrNoSupervisor) {
				t.Errorf("Do = %v, which is also ErrNoSupervisor", err)
			}
		})
	}
}

func TestClientRefusesForeignOwner(t *testing.T) {
	f := newFake(t)
	f.start(func(s *Server, r Incoming) { t.Error("a request arrived") })
	c := f.client()
	c.Owner++
	if _, err := c.Do(within(t), Request{Action: Probe}, nil); !errors.Is(err, ErrUnsafe) {
		t.Errorf("Do = %v, want ErrUnsafe", err)
	}
}

// TestClientWaitsForBoot checks a container that has just started (L16).
func TestClientWaitsForBoot(t *testing.T) {
	f := newFake(t)
	c := f.client()
	asked := 0
	c.Booting = func() bool {
		if asked++; asked == 3 {
			f.start(func(s *Server, r Incoming) { s.Reply(Reply{Nonce: r.Nonce, Outcome: OK}) })
		}
		return true
	}
	_, err := c.Do(within(t), Request{Action: Restart}, nil)
	check(t, err)
}

// TestClientWaitsForRepair checks that a client waits for PID 1 to repair its FIFO.
func TestClientWaitsForRepair(t *testing.T) {
	f := newFake(t)
	f.start(func(s *Server, r Incoming) { s.Reply(Reply{Nonce: r.Nonce, Outcome: OK}) })
	check(t, os.Remove(f.fifo()))
	check(t, os.WriteFile(f.fifo(), nil, 0o600))
	c := f.client()
	asked := 0
	c.Booting = func() bool {
		if asked++; asked == 3 {
			if problem, err := f.server.Check(); problem == nil || err != nil {
				t.Errorf("Check = %v, %v", problem, err)
			}
		}
		return true
	}
	_, err := c.Do(within(t), Request{Action: Restart}, nil)
	check(t, err)
}

func TestClientDeadline(t *testing.T) {
	t.Run("no-reply", func(t *testing.T) {
		f := newFake(t)
		f.start(func(s *Server, r Incoming) {})
		if _, err := f.client().Do(soon(t), Request{Action: Probe}, nil); !errors.Is(err, ErrDeadline) {
			t.Errorf("Do = %v, want ErrDeadline", err)
		}
	})
	t.Run("accepted-only", func(t *testing.T) {
		f := newFake(t)
		f.start(func(s *Server, r Incoming) { s.Reply(Reply{Nonce: r.Nonce, Outcome: Accepted}) })
		if _, err := f.client().Do(soon(t), Request{Action: Probe}, nil); !errors.Is(err, ErrDeadline) {
			t.Errorf("Do = %v, want ErrDeadline", err)
		}
	})
	t.Run("never-boots", func(t *testing.T) {
		f := newFake(t)
		c := f.client()
		c.Booting = func() bool { return true }
		_, err := c.Do(soon(t), Request{Action: Probe}, nil)
		if !errors.Is(err, ErrDeadline) || !errors.Is(err, os.ErrNotExist) || !errors.As(err, new(*UnsentError)) {
			t.Errorf("Do = %v, want ErrDeadline that says what is missing", err)
		}
	})
	t.Run("full", func(t *testing.T) {
		f := newFake(t)
		full(t, f)
		if _, err := f.client().Do(soon(t), Request{Action: Probe}, nil); !errors.Is(err, ErrDeadline) {
			t.Errorf("Do = %v, want ErrDeadline", err)
		}
	})
}

// full makes a FIFO that no process reads, and fills it.
func full(t *testing.T, f *fake) *os.File {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(f.path, Dir, Replies), 0o700))
	check(t, syscall.Mkfifo(f.fifo(), 0o600))
	end, err := os.OpenFile(f.fifo(), os.O_RDWR|syscall.O_NONBLOCK, 0)
	check(t, err)
	t.Cleanup(func() { end.Close() })
	check(t, end.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	for err == nil {
		_, err = end.Write([]byte(strings.Repeat("x", maxFrame)))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return end
}

// TestClientWaitsForRoom checks that a full FIFO delays a request and keeps it.
func TestClientWaitsForRoom(t *testing.T) {
	f := newFake(t)
	end := full(t, f)
	got := make(chan error, 1)
	go func() {
		r, err := f.client().Do(within(t), Request{Action: Probe}, nil)
		if err == nil && r.Outcome != OK {
			err = errors.New(r.String())
		}
		got <- err
	}()
	go func() {
		buf, all := make([]byte, 4096), ""
		for !strings.HasSuffix(all, "\n") {
			n, err := end.Read(buf)
			if err != nil {
				return
			}
			all += string(buf[:n])
		}
		nonce := strings.Fields(all[strings.Index(all, "v1 "):])[1]
		put(f, nonce, "v1 "+nonce+" complete ok 1 2\n", 0o600)
	}()
	check(t, <-got)
}

func TestClientCanceled(t *testing.T) {
	for _, name := range []string{"waiting", "full"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			ctx, cancel := context.WithCancel(context.Background())
			if name == "full" {
				full(t, f)
				time.AfterFunc(20*time.Millisecond, cancel)
			} else {
				f.start(func(s *Server, r Incoming) { cancel() })
			}
			if _, err := f.client().Do(ctx, Request{Action: Probe}, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("Do = %v, want canceled", err)
			}
			cancel()
		})
	}
}

func TestClientBadReply(t *testing.T) {
	other := strings.Repeat("a", NonceLen)
	tests := map[string]struct {
		answer func(f *fake, nonce string) error
		want   error
	}{
		"garbage":     {func(f *fake, n string) error { return os.WriteFile(f.reply(n), []byte("hello\n"), 0o600) }, ErrGarbage},
		"wrong-nonce": {func(f *fake, n string) error { return put(f, n, "v1 "+other+" complete ok 1 2\n", 0o600) }, ErrGarbage},
		"too-long":    {func(f *fake, n string) error { return put(f, n, strings.Repeat("x", 513), 0o600) }, ErrGarbage},
		"mode":        {func(f *fake, n string) error { return put(f, n, "v1 "+n+" complete ok 1 2\n", 0o644) }, ErrUnsafe},
		"fifo":        {func(f *fake, n string) error { return syscall.Mkfifo(f.reply(n), 0o600) }, ErrUnsafe},
		"link":        {func(f *fake, n string) error { return os.Symlink("/etc/passwd", f.reply(n)) }, ErrUnsafe},
		"second-link": {func(f *fake, n string) error {
			file := filepath.Join(f.path, "x")
			if err := os.WriteFile(file, []byte("v1 "+n+" complete ok 1 2\n"), 0o600); err != nil {
				return err
			}
			return os.Link(file, f.reply(n))
		}, ErrUnsafe},
		"replies-writable": {func(f *fake, n string) error {
			return os.Chmod(filepath.Join(f.path, Dir, Replies), 0o777)
		}, ErrUnsafe},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.start(func(s *Server, r Incoming) {
				if err := test.answer(f, r.Nonce); err != nil {
					t.Error(err)
				}
			})
			if _, err := f.client().Do(within(t), Request{Action: Probe}, nil); !errors.Is(err, test.want) {
				t.Errorf("Do = %v, want %v", err, test.want)
			}
		})
	}
}

// put makes the whole reply appear at once.
func put(f *fake, nonce, text string, mode os.FileMode) error {
	file := filepath.Join(f.path, "new")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(file, f.reply(nonce))
}

func TestClientSupervisorEnds(t *testing.T) {
	tests := map[string]func(f *fake, c *Client, r Incoming){
		"fifo-without-reader": func(f *fake, c *Client, r Incoming) { f.server.fifo.Close() },
		"fifo-gone":           func(f *fake, c *Client, r Incoming) { os.Remove(f.fifo()) },
		"reply-vanished": func(f *fake, c *Client, r Incoming) {
			f.server.Reply(Reply{Nonce: r.Nonce, Outcome: Accepted})
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c := f.client()
			f.start(func(s *Server, r Incoming) { end(f, c, r) })
			_, err := c.Do(within(t), Request{Action: Probe}, func(string) {
				entries, err := os.ReadDir(filepath.Join(f.path, Dir, Replies))
				check(t, err)
				check(t, os.Remove(f.reply(entries[0].Name())))
			})
			if !errors.Is(err, ErrNoSupervisor) {
				t.Errorf("Do = %v, want ErrNoSupervisor", err)
			}
		})
	}
	t.Run("replaced-process", func(t *testing.T) {
		f := newFake(t)
		c := f.client()
		c.Alive = func() error { return errors.New("another start time") }
		f.start(func(s *Server, r Incoming) {})
		if _, err := c.Do(within(t), Request{Action: Probe}, nil); !errors.Is(err, ErrNoSupervisor) {
			t.Errorf("Do = %v, want ErrNoSupervisor", err)
		}
	})
	t.Run("answered-as-its-last-deed", func(t *testing.T) {
		f := newFake(t)
		c := f.client()
		nonce := make(chan string, 1)
		f.start(func(s *Server, r Incoming) { nonce <- r.Nonce })
		c.Alive = func() error {
			check(t, f.server.Reply(Reply{Nonce: <-nonce, Outcome: Failed, Reason: reason.ShuttingDown}))
			return errors.New("gone")
		}
		got, err := c.Do(within(t), Request{Action: Probe}, nil)
		if err != nil || got.Reason != reason.ShuttingDown {
			t.Errorf("Do = %+v, %v", got, err)
		}
	})
}
