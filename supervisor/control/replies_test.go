// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// replyNames lists the files in replies/.
func replyNames(t *testing.T, s *Server) (names []string) {
	t.Helper()
	_, err := s.replies.Seek(0, 0)
	check(t, err)
	names, err = s.replies.Readdirnames(-1)
	check(t, err)
	return names
}

func answerOf(n int) Reply { return Reply{Nonce: numbered(Probe, n).Nonce, Outcome: OK, NewPID: n} }

// TestServerReply checks that a reader sees "accepted" or the answer, whole.
func TestServerReply(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	for _, r := range []Reply{{Nonce: nonceOf("a"), Outcome: Accepted}, {Nonce: nonceOf("a"), Outcome: Failed, Reason: reason.Exited, OldPID: 7}} {
		old, _ := os.Open(f.reply(r.Nonce))
		check(t, s.Reply(r))
		data, err := os.ReadFile(f.reply(r.Nonce))
		if err != nil || string(data) != r.String()+"\n" {
			t.Errorf("got %q, %v; want %q", data, err, r)
		}
		if old == nil {
			continue
		}
		got := make([]byte, maxFrame)
		n, err := old.Read(got)
		if err != nil || string(got[:n]) != "v1 "+nonceOf("a")+" accepted\n" {
			t.Errorf("a reader in between reads %q, %v", got[:n], err)
		}
		old.Close()
	}
	if names := replyNames(t, s); len(names) != 1 {
		t.Errorf("files %v", names)
	}
}

// TestServerKeepsTheNewest checks that 512 answers stay, without those that wait.
func TestServerKeepsTheNewest(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	check(t, s.Reply(Reply{Nonce: nonceOf("a"), Outcome: Accepted}))
	for n := range maxReplies + 10 {
		check(t, s.Reply(answerOf(n)))
	}
	if n := len(replyNames(t, s)); n != maxReplies+1 {
		t.Errorf("%d files, want %d and one accepted", n, maxReplies)
	}
	for n, want := range map[int]bool{0: false, 9: false, 10: true, maxReplies + 9: true} {
		if _, err := os.Stat(f.reply(answerOf(n).Nonce)); (err == nil) != want {
			t.Errorf("answer %d: %v", n, err)
		}
	}
	if _, err := os.Stat(f.reply(nonceOf("a"))); err != nil {
		t.Errorf("the one who waits: %v", err)
	}
}

// TestServerKeepsAReplayed checks that the answer to a replayed nonce is a new one,
// and is not removed when its first entry is the oldest.
func TestServerKeepsAReplayed(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	for n := range maxReplies {
		check(t, s.Reply(answerOf(n)))
	}
	again := Reply{Nonce: answerOf(0).Nonce, Outcome: Failed, Reason: reason.Replayed}
	check(t, s.Reply(again))
	for n := range maxReplies - 1 {
		check(t, s.Reply(answerOf(maxReplies+n)))
		if data, err := os.ReadFile(f.reply(again.Nonce)); err != nil || string(data) != again.String()+"\n" {
			t.Fatalf("after %d more: %q, %v", n+1, data, err)
		}
	}
	check(t, s.Reply(answerOf(5000)))
	if _, err := os.Stat(f.reply(again.Nonce)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after %d more: %v", maxReplies, err)
	}
	if n := len(replyNames(t, s)); n > maxReplies {
		t.Errorf("%d files", n)
	}
}

// TestServerForgetsWhatIsSpoiled checks answers that root removed or replaced.
func TestServerForgetsWhatIsSpoiled(t *testing.T) {
	f := newFake(t)
	s := serving(t, f.dir)
	for n := range maxReplies {
		check(t, s.Reply(answerOf(n)))
	}
	check(t, os.Remove(f.reply(answerOf(0).Nonce)))
	check(t, os.Remove(f.reply(answerOf(1).Nonce)))
	check(t, os.MkdirAll(f.reply(answerOf(1).Nonce)+"/full", 0o700))
	for n := maxReplies; n < maxReplies+5; n++ {
		if err := s.Reply(answerOf(n)); err != nil {
			t.Errorf("answer %d: %v", n, err)
		}
		if _, err := os.Stat(f.reply(answerOf(n).Nonce)); err != nil {
			t.Errorf("answer %d: %v", n, err)
		}
	}
	if len(s.kept) > maxReplies {
		t.Errorf("%d are kept", len(s.kept))
	}
}

// TestServerFull checks that old answers are removed before a full runtime directory
// needs the reserve, and that without any room only the answer is lost.
func TestServerFull(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=256k")
	s := serving(t, dir)
	for n := range 200 {
		check(t, s.Reply(answerOf(n)))
	}
	if n := len(replyNames(t, s)); n < minReplies || n > 64 {
		t.Errorf("%d answers of a page each are kept in 256 KiB", n)
	}
	var fs unix.Statfs_t
	check(t, unix.Fstatfs(int(dir.Fd()), &fs))
	if free := fs.Bavail * uint64(fs.Bsize); free < reserve-8<<10 {
		t.Errorf("%d bytes are free", free)
	}
	// Another process takes all of it.
	check(t, s.Reply(Reply{Nonce: nonceOf("a"), Outcome: Accepted}))
	check(t, s.Reply(Reply{Nonce: nonceOf("b"), Outcome: Accepted}))
	hog, err := os.Create(testenv.Path(dir, "hog"))
	check(t, err)
	defer hog.Close()
	fill := func() {
		for err = nil; err == nil; {
			_, err = hog.Write(make([]byte, 4096))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	fill()
	// The oldest answers make room for the new one.
	check(t, s.Reply(Reply{Nonce: nonceOf("a"), Outcome: OK}))
	for len(s.kept) > 0 {
		s.forget()
	}
	fill()
	if err := s.Reply(Reply{Nonce: nonceOf("b"), Outcome: OK}); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("without any room: %v", err)
	}
	data, err := os.ReadFile(testenv.Path(dir, filepath.Join(Dir, Replies, nonceOf("b"))))
	if err != nil || !strings.HasSuffix(string(data), " accepted\n") {
		t.Errorf("what stood there: %q, %v", data, err)
	}
	// The list keeps the nonce, because the file is still there.
	if len(s.kept) != 1 || s.kept[0] != nonceOf("b") {
		t.Errorf("kept: %v", s.kept)
	}
	for _, name := range replyNames(t, s) {
		if strings.HasSuffix(name, ".new") {
			t.Errorf("%s is left", name)
		}
	}
}

// TestServerReserve checks that requests are answered while another process has all
// space, also before there is any older answer.
func TestServerReserve(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=256k")
	s := serving(t, dir)
	check(t, s.Reserve())
	hog, err := os.Create(testenv.Path(dir, "hog"))
	check(t, err)
	defer hog.Close()
	for err == nil {
		_, err = hog.Write(make([]byte, 4096))
	}
	for n := range 50 {
		final := answerOf(n)
		for _, r := range []Reply{{Nonce: final.Nonce, Outcome: Accepted}, final} {
			if err := s.Reply(r); err != nil {
				t.Fatalf("request %d: %v", n, err)
			}
			data, err := os.ReadFile(testenv.Path(dir, filepath.Join(Dir, Replies, r.Nonce)))
			if err != nil || string(data) != r.String()+"\n" {
				t.Fatalf("request %d: %q, %v", n, data, err)
			}
		}
	}
}
