// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// made returns a new log in a directory of its own.
func made(t *testing.T, size int) (*Log, *os.File) {
	t.Helper()
	dir := testenv.Dir(t, t.TempDir())
	l, err := New(dir, Gateway, size, 0)
	testenv.Must(t, err)
	return l, dir
}

func content(t *testing.T, dir *os.File) string {
	t.Helper()
	text, err := Read(dir, Gateway, uint32(os.Geteuid()))
	testenv.Must(t, err)
	return string(text)
}

// sizes returns the sizes of the newer and the older file.
func sizes(t *testing.T, dir *os.File) (newer, older int64) {
	t.Helper()
	i, err := os.Stat(testenv.Path(dir, Gateway))
	testenv.Must(t, err)
	newer = i.Size()
	if i, err = os.Stat(testenv.Path(dir, Gateway+oldSuffix)); err == nil {
		older = i.Size()
	}
	return newer, older
}

// TestLogKeepsTheNewestLines checks the bound, and that a reader gets whole lines without a
// gap up to the newest, at each size of a write.
func TestLogKeepsTheNewestLines(t *testing.T) {
	const size = 4096
	for _, step := range []int{1, 7, 100, 1000, size / 2} {
		l, dir := made(t, size)
		var all bytes.Buffer
		for i := range 300 {
			fmt.Fprintf(&all, "line %d %s\n", i, strings.Repeat("x", i%90))
		}
		for text := all.Bytes(); len(text) > 0; {
			n := min(step, len(text))
			l.Write(text[:n])
			text = text[n:]
			if newer, older := sizes(t, dir); newer > size/2 || older > size/2 {
				t.Fatalf("step %d: files of %d and %d bytes", step, newer, older)
			}
		}
		got := content(t, dir)
		if !strings.HasSuffix(all.String(), "\n"+got) || len(got) < size/2-step-100 {
			t.Errorf("step %d: %d bytes that begin with %.20q", step, len(got), got)
		}
	}
}

// TestShortLogIsWhole checks that the first line is not taken for a part of one.
func TestShortLogIsWhole(t *testing.T) {
	l, dir := made(t, 4096)
	if got := content(t, dir); got != "" {
		t.Errorf("a new log has %q", got)
	}
	l.Write([]byte("first\nsec"))
	if got := content(t, dir); got != "first\nsec" {
		t.Errorf("got %q", got)
	}
	l.Write(make([]byte, 4096)) // longer than a file
	l.Write([]byte("ond\n"))
	if got := content(t, dir); !strings.HasPrefix(got, "first\nsec\n{") || !strings.Contains(got, `"event":"log-dropped","lines":1}`+"\nond\n") {
		t.Errorf("got %q", got)
	}
	if _, err := Read(dir, Init, uint32(os.Geteuid())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	if _, err := Read(dir, Gateway, 4711); err == nil || !strings.Contains(err.Error(), "owned by uid") {
		t.Errorf("another user's: %v", err)
	}
}

// TestReaderSeesNoGap checks that a reader beside a fast writer gets consecutive lines.
func TestReaderSeesNoGap(t *testing.T) {
	l, dir := made(t, 16<<10)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				l.Write(fmt.Appendf(nil, "%d\n", i))
			}
		}
	}()
	for range 300 {
		text := content(t, dir)
		lines := strings.Split(text[:strings.LastIndexByte(text, '\n')+1], "\n")
		for i, last := 0, -1; i < len(lines)-1; i++ {
			var n int
			if _, err := fmt.Sscanf(lines[i], "%d", &n); err != nil || last >= 0 && n != last+1 {
				t.Fatalf("line %q after %d: %v", lines[i], last, err)
			}
			last = n
		}
	}
	close(stop)
	<-ended
}

// TestFullFileSystemCostsLinesOnly checks that lines without room are counted, that the
// space for others is left, and that writing goes on when there is room.
func TestFullFileSystemCostsLinesOnly(t *testing.T) {
	const spare = 64 << 10
	dir := testenv.Tmpfs(t, "size=128k")
	l, err := New(dir, Gateway, 1<<20, spare)
	testenv.Must(t, err)
	other := testenv.Path(dir, "other")
	testenv.Must(t, os.WriteFile(other, make([]byte, 32<<10), 0o600))
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 2000 { // 200 KB
		l.Write(line)
	}
	if free, _, err := sys.Space(dir); err != nil || free < spare {
		t.Errorf("%d bytes are free: %v", free, err)
	}
	kept := strings.Count(content(t, dir), "\n")
	if kept == 0 || kept >= 2000 {
		t.Fatalf("%d lines", kept)
	}
	// Another one fills the rest. The log has no room at all.
	ballast := testenv.Path(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	l.Write(line)
	testenv.Must(t, errors.Join(os.Remove(ballast), os.Remove(other)))
	l.Write([]byte("last\n"))
	want := fmt.Sprintf(`"event":"log-dropped","lines":%d}`+"\nlast\n", 2001-kept)
	if got := content(t, dir); !strings.HasSuffix(got, want) {
		t.Errorf("it ends with %q, want %q", got[max(0, len(got)-200):], want)
	}
}

// TestLostFileIsMadeAgain checks a log whose files root has removed, and a name that
// cannot be had for a while.
func TestLostFileIsMadeAgain(t *testing.T) {
	l, dir := made(t, 200)
	line := []byte(strings.Repeat("y", 59) + "\n")
	testenv.Must(t, os.Remove(testenv.Path(dir, Gateway)))
	testenv.Must(t, os.Mkdir(testenv.Path(dir, Gateway), 0o700))
	l.Write(line)
	l.Write(line) // it needs a new file
	testenv.Must(t, os.Remove(testenv.Path(dir, Gateway+oldSuffix)))
	l.Write(line)
	if got := content(t, dir); !strings.HasSuffix(got, string(line)) {
		t.Errorf("got %q", got)
	}
}

// TestLeftoversAreRemoved checks logs of an earlier run, and what is none.
func TestLeftoversAreRemoved(t *testing.T) {
	dir := testenv.Dir(t, t.TempDir())
	for _, name := range []string{Init, Init + oldSuffix, Sidecars, "other.log"} {
		testenv.Must(t, os.WriteFile(testenv.Path(dir, name), []byte("old"), 0o600))
	}
	testenv.Must(t, RemoveAll(dir))
	if names, err := dir.Readdirnames(-1); err != nil || len(names) != 1 || names[0] != "other.log" {
		t.Errorf("left: %v, %v", names, err)
	}
	testenv.Must(t, os.Symlink("/etc/passwd", testenv.Path(dir, Gateway)))
	if err := RemoveAll(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a link: %v", err)
	}
}

// TestDrain checks that all output of several writers arrives, that Drain ends when its pipe
// is closed, and that it neither spins nor ends silently if no read can succeed any more.
func TestDrain(t *testing.T) {
	l, dir := made(t, 1<<20)
	var drains, writers sync.WaitGroup
	for range 3 {
		r, w, err := sys.OutputPipe(uint32(os.Geteuid()))
		testenv.Must(t, err)
		drains.Go(func() { l.Drain(r) })
		writers.Go(func() {
			defer w.Close()
			for range 1000 {
				w.WriteString("output of a kid\n")
			}
		})
	}
	writers.Wait()
	drains.Wait()
	if got := content(t, dir); strings.Count(got, "output of a kid\n") != 3000 || len(got) != 3000*16 {
		t.Errorf("%d bytes", len(got))
	}
	closed, w, err := sys.OutputPipe(uint32(os.Geteuid()))
	testenv.Must(t, err)
	defer w.Close()
	drains.Go(func() { l.Drain(closed) })
	testenv.Must(t, closed.Close())
	drains.Wait()
	unreadable, err := os.Open(t.TempDir()) // read(2) fails with EISDIR
	testenv.Must(t, err)
	defer unreadable.Close()
	l.Drain(unreadable)
	if got := content(t, dir); !strings.HasSuffix(got, "is a directory\n") {
		t.Errorf("it ends with %q", got[len(got)-100:])
	}
}

// TestFloodOfPacketsIsSlowedDown checks a writer that makes each read return one byte
// (O_DIRECT, pipe(2)). Drain rests as often as for a writer of full pages. The control is
// that writer: its bytes arrive in a fraction of the time.
func TestFloodOfPacketsIsSlowedDown(t *testing.T) {
	const bytes = 4000
	took := map[bool]time.Duration{}
	for _, packets := range []bool{false, true} {
		l, dir := made(t, 1<<20)
		r, w, err := sys.OutputPipe(uint32(os.Geteuid()))
		testenv.Must(t, err)
		step := bytes
		if packets {
			step = 1
			_, err := unix.FcntlInt(w.Fd(), unix.F_SETFL, unix.O_DIRECT)
			testenv.Must(t, err)
		}
		done := make(chan struct{})
		begin := time.Now()
		go func() { l.Drain(r); close(done) }()
		for range bytes / step {
			_, err := w.Write([]byte(strings.Repeat("x", step)))
			testenv.Must(t, err)
		}
		w.Close()
		<-done
		took[packets] = time.Since(begin)
		if got := content(t, dir); len(got) != bytes {
			t.Errorf("%d bytes arrived", len(got))
		}
	}
	if least := bytes / burst * rest; took[true] < least || took[false] >= took[true] {
		t.Errorf("packets took %v, a page took %v; want at least %v, and less for the page", took[true], took[false], least)
	}
}

// TestFloodIntoASmallLog checks that a log whose files are smaller than what the pipe has
// at a time keeps the newest output.
func TestFloodIntoASmallLog(t *testing.T) {
	const size = chunk // so a file has half of a chunk
	l, dir := made(t, size)
	r, w, err := sys.OutputPipe(uint32(os.Geteuid()))
	testenv.Must(t, err)
	_, err = w.WriteString(strings.Repeat("output of a kid\n", 10*size/16) + "last\n")
	testenv.Must(t, errors.Join(err, w.Close()))
	l.Drain(r)
	if got := content(t, dir); !strings.HasSuffix(got, "output of a kid\nlast\n") || strings.Contains(got, "log-dropped") {
		t.Errorf("%d bytes, that end with %q", len(got), got[max(0, len(got)-50):])
	}
}
