package launch_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatewayinit/internal/launch"
	"gatewayinit/internal/testenv"
	"gatewayinit/tokenfile"
)

// hands is a token, a reader with the gateway's UID, and a stage of another
// user's program at the other end of the pipe.
type hands struct {
	token         launch.Token
	text          string
	reader, stage *child
	r, w          *os.File
}

func newHands(t *testing.T, argv ...string) *hands {
	t.Helper()
	testenv.Root(t)
	dir := testenv.Tmpfs(t, "mode=0711")
	secret, err := tokenfile.Mint(dir, "token", tokenfile.Policy{UID: gateway, GID: gateway})
	testenv.Must(t, err)
	h := &hands{token: launch.Token{Name: "token", UID: gateway, GID: gateway, Sum: secret.Sum()}, text: string(secret.Bytes())}
	h.r, h.w, err = os.Pipe()
	testenv.Must(t, err)
	t.Cleanup(func() { h.close() })
	hand, handed := h.token, h.token
	h.reader = program(t)
	h.reader.Runtime, h.reader.Stdio[1], h.reader.Spec.Hand = dir, h.w, &hand
	h.stage = program(t, argv...)
	h.stage.UID, h.stage.GID, h.stage.Groups = stranger, stranger, []uint32{stranger}
	handed.Env, handed.Handed = "THE_TOKEN", true
	h.stage.Runtime, h.stage.Spec.Token = h.r, &handed
	return h
}

// close is what PID 1 does as soon as both have their end.
func (h *hands) close() { h.r.Close(); h.w.Close() }

// TestHandOver: a user that cannot read the file gets the token into its
// program's environment, once, and nothing else.
func TestHandOver(t *testing.T) {
	h := newHands(t, "sh", "-c", "cat /proc/$$/environ; ls -1 /proc/$$/fd; id -u")
	start(t, h.reader) // answers when it has ended: the token is in the pipe
	got := output(t, h.stage)
	want := "PATH=/usr/bin:/bin\x00A=b\x00THE_TOKEN=" + h.text + "\x000\n1\n2\n" + itoa(stranger) + "\n"
	if got != want {
		t.Errorf("got %q", strings.ReplaceAll(got, h.text, "[token]"))
	}
}

// TestHandOverFails: whatever the other side does, the stage ends with a word,
// and in time. No program runs without the token that PID 1 minted.
func TestHandOverFails(t *testing.T) {
	other := strings.Repeat("0", tokenfile.Len)
	write := func(text string) func(*testing.T, *hands) {
		return func(t *testing.T, h *hands) {
			_, err := h.w.WriteString(text)
			testenv.Must(t, err)
			h.w.Close()
		}
	}
	read := func(change func(*launch.Token)) func(*testing.T, *hands) {
		return func(t *testing.T, h *hands) {
			change(h.reader.Spec.Hand)
			start(t, h.reader)
			h.w.Close()
		}
	}
	for name, c := range map[string]struct {
		do   func(*testing.T, *hands)
		want launch.Failure
	}{
		"no-reader":             {func(_ *testing.T, h *hands) { h.w.Close() }, launch.Failure{Step: launch.StepTokenFailed}},
		"reader-finds-none":     {read(func(k *launch.Token) { k.Name = "nothing" }), launch.Failure{Step: launch.StepTokenFailed}},
		"reader-finds-another":  {read(func(k *launch.Token) { k.Sum[0]++ }), launch.Failure{Step: launch.StepTokenFailed}},
		"reader-may-not-read":   {read(func(k *launch.Token) { k.UID = stranger }), launch.Failure{Step: launch.StepTokenFailed}},
		"somebody-else's-token": {write(other), launch.Failure{Step: launch.StepTokenChanged}},
		"too-short":             {write(other[1:]), launch.Failure{Step: launch.StepTokenFailed}},
		"no-token":              {write(strings.Repeat("\n", tokenfile.Len)), launch.Failure{Step: launch.StepTokenFailed}},
		"reader-stopped":        {func(*testing.T, *hands) {}, launch.Failure{Step: launch.StepTokenFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHands(t, "cat", "/proc/self/environ")
			c.do(t, h)
			begin := time.Now()
			p, err := start(t, h.stage)
			var failure *launch.Failure
			if !errors.As(err, &failure) || *failure != c.want {
				t.Errorf("got %v, want %v", err, &c.want)
			}
			if took := time.Since(begin); name == "reader-stopped" && took < launch.HandPatience {
				t.Errorf("it waited only %v", took)
			}
			if s, err := waitFor(p.PID); err != nil || s.ExitStatus() != 126 {
				t.Errorf("ended with %v, %v", s, err)
			}
		})
	}
}

// TestReaderAlone: a reader whose stage is gone ends, by itself.
func TestReaderAlone(t *testing.T) {
	h := newHands(t, "true")
	h.r.Close()
	p, err := start(t, h.reader)
	var failure *launch.Failure
	if !errors.As(err, &failure) {
		t.Errorf("got %v", err)
	}
	if s, err := waitFor(p.PID); err != nil || s.Signal() != syscall.SIGPIPE {
		t.Errorf("ended with %v, %v", s, err)
	}
}
