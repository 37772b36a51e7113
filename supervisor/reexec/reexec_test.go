// SPDX-License-Identifier: Apache-2.0

package reexec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/testenv"
	"github.com/gateway-init/gateway-init/supervisor/launch"
	"github.com/gateway-init/gateway-init/supervisor/proof"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// TestMain makes this test binary the re-exec child, as gateway-init is.
func TestMain(m *testing.M) {
	if os.Args[0] == launch.ReexecName {
		os.Exit(Run())
	}
	os.Exit(m.Run())
}

const gateway = testenv.Gateway

// runChild runs the re-exec child with orders as they are and more descriptors, and
// returns its report, its exit code and its output.
func runChild(t *testing.T, orders string, more ...*os.File) (report string, code int, out string) {
	t.Helper()
	spec, err := os.CreateTemp(t.TempDir(), "spec")
	testenv.Must(t, err)
	defer spec.Close()
	_, err = spec.WriteString(orders)
	testenv.Must(t, err)
	r, w, err := os.Pipe()
	testenv.Must(t, err)
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{launch.ReexecName, "test"}
	cmd.Env = []string{} // nil would pass on our environment
	cmd.ExtraFiles = []*os.File{spec, w}
	cmd.ExtraFiles = append(cmd.ExtraFiles, slices.DeleteFunc(more, func(f *os.File) bool { return f == nil })...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gateway, Gid: gateway}}
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	err = cmd.Run()
	w.Close()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	testenv.Must(t, err)
	return string(data), cmd.ProcessState.ExitCode(), text.String()
}

func encode(t *testing.T, s launch.Spec) string {
	t.Helper()
	data, err := json.Marshal(s)
	testenv.Must(t, err)
	text := strings.TrimSuffix(string(data), "}") + `,"args":` + strconv.Itoa(len(s.Argv)) + "}"
	return strings.Join(slices.Concat([]string{text, s.Dir}, s.Argv, s.Env), "\x00")
}

// TestOrders checks that a user who runs gateway-init under the re-exec child's name
// gets an error and not a crash.
func TestOrders(t *testing.T) {
	testenv.Root(t)
	for name, c := range map[string]struct{ orders, report string }{
		"good":         {`{"args":1}` + "\x00/\x00true\x00PATH=/bin:/usr/bin", launch.Ready},
		"empty":        {"", "spec 0\n"},
		"no-json":      {"true", "spec 0\n"},
		"no-program":   {"{}", "spec 22\n"},
		"wrong-type":   {`{"args":"1"}` + "\x00/\x00true", "spec 0\n"},
		"too-large":    {`{"args":1}` + "\x00/\x00true" + strings.Repeat("\x00x", 4<<20), "spec 0\n"},
		"worker-array": {`{"worker":[1]}`, "spec 0\n"},
		"token-none":   {`{"args":1,"token":{}}` + "\x00/\x00true", "token-failed 0\n"},
		"token-array":  {`{"args":1,"token":[1]}` + "\x00/\x00true", "spec 0\n"},
		"no-directory": {`{"args":1}` + "\x00\x00true", "chdir 2\n"},
		"no-path":      {`{"args":1}` + "\x00/\x00true", "exec 2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			report, code, out := runChild(t, c.orders, nil)
			want := exitFailed
			if name == "good" {
				want = 0
			}
			if report != c.report || code != want || out != "" {
				t.Errorf("got %q, code %d, output %q; want %q", report, code, out, c.report)
			}
		})
	}
}

// TestNoDescriptors checks a start by hand, without orders and a report.
func TestNoDescriptors(t *testing.T) {
	testenv.Root(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{launch.ReexecName}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitFailed || len(out) != 0 {
		t.Errorf("got %v and %q", err, out)
	}
}

// minted mounts a runtime directory with a token, and opens its file.
func minted(t *testing.T) (*os.File, *launch.Token, *tokenfile.Secret) {
	t.Helper()
	dir := testenv.Tmpfs(t, "mode=0700")
	s, err := tokenfile.Mint(dir, "token", tokenfile.Policy{RequireTmpfs: true})
	testenv.Must(t, err)
	f, err := tokenfile.Open(dir, "token", tokenfile.Policy{RequireTmpfs: true})
	testenv.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f, &launch.Token{Env: "TOKEN", Sum: s.Sum()}, s
}

// TestWorker checks that a worker answers by exit code, and prints nothing.
func TestWorker(t *testing.T) {
	testenv.Root(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	port := uint16(closed.Addr().(*net.TCPAddr).Port)
	closed.Close()
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		fmt.Fprint(w, `{"ok":true}`)
	}))
	defer server.Close()
	open := uint16(server.Listener.Addr().(*net.TCPAddr).Port)

	file, token, secret := minted(t)
	other := *token
	other.Sum[0]++
	empty, err := os.Open(os.DevNull)
	testenv.Must(t, err)
	defer empty.Close()
	for name, c := range map[string]struct {
		port  uint16
		uid   uint32
		token *launch.Token
		file  *os.File
		want  proof.Verdict
	}{
		"nobody-listens":          {port, gateway, nil, nil, proof.Refused},
		"a-stranger":              {open, gateway, nil, nil, proof.ForeignPeer}, // the test runs as root
		"serves":                  {open, 0, nil, nil, proof.OK},
		"serves-with-token":       {open, 0, token, file, proof.OK},
		"token-changed":           {open, 0, &other, file, proof.TokenChanged},
		"token-empty":             {open, 0, token, empty, proof.TokenFailed},
		"token-changed-not-asked": {port, gateway, &other, file, proof.TokenChanged},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := json.Marshal(proof.Job{
				Mode: proof.Health, Port: c.port, UID: c.uid, Deadline: 10 * time.Second,
				Check: config.Probe{Path: "/healthz", Status: []int{200}},
			})
			testenv.Must(t, err)
			report, code, out := runChild(t, encode(t, launch.Spec{Worker: job, Token: c.token}), c.file)
			if c.want == proof.OK { // it says which listener it has asked
				text, ok := strings.CutPrefix(report, launch.Found)
				if seen, parsed := proof.ParseSeen(text); !ok || !parsed || seen.Addr.Port() != open || len(seen.Cookies) != 1 {
					t.Errorf("report %q", report)
				}
				report = ""
			}
			if proof.Verdict(code) != c.want || report != "" || out != "" {
				t.Errorf("got %v (%d), report %q, output %q; want %v", proof.Verdict(code), code, report, out, c.want)
			}
		})
	}
	if text := fmt.Sprint(got); strings.Contains(text, string(secret.Bytes())) {
		t.Error("a health check sent the token")
	}
}

// TestTokenOfAnother checks that a file that holds no token, or another one than PID
// 1 has minted, is a failure before anything is executed.
func TestTokenOfAnother(t *testing.T) {
	testenv.Root(t)
	file, token, secret := minted(t)
	for _, c := range []struct {
		name   string
		change func() error
		report string
	}{
		{"rewritten", func() error { return rewrite(file, strings.Repeat("0", tokenfile.Len)) }, "token-changed 0\n"},
		{"too-long", func() error { return rewrite(file, strings.Repeat("0", tokenfile.Len+1)) }, "token-failed 0\n"},
		{"emptied", func() error { return rewrite(file, "") }, "token-failed 0\n"},
	} {
		testenv.Must(t, c.change())
		orders := encode(t, launch.Spec{Argv: []string{"env"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/", Token: token})
		report, code, out := runChild(t, orders, file)
		if report != c.report || code != exitFailed || out != "" {
			t.Errorf("%s: got %q, code %d, output %q; want %q", c.name, report, code, out, c.report)
		}
	}
	if secret.Sum() != token.Sum {
		t.Error("the test compares with another token")
	}
}

// rewrite changes the content of the open token file, as root can.
func rewrite(f *os.File, text string) error {
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = w.WriteString(text)
	return err
}

// TestNotHeld checks that nothing is executed if PID 1 ends the pipe without a word, or
// says something else.
func TestNotHeld(t *testing.T) {
	testenv.Root(t)
	for _, said := range []string{"", "x"} {
		r, w, err := os.Pipe()
		testenv.Must(t, err)
		_, err = w.WriteString(said)
		testenv.Must(t, err)
		w.Close()
		orders := encode(t, launch.Spec{Argv: []string{"echo", "executed"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/", Confine: true})
		report, code, out := runChild(t, orders, r, r) // the first is in place of a token
		r.Close()
		if report != "confine 0\n" || code != exitFailed || out != "" {
			t.Errorf("%q: got %q, code %d, output %q", said, report, code, out)
		}
	}
}

// TestReadOnlyProc checks that the target is executed although its oom_score_adj
// cannot be raised.
func TestReadOnlyProc(t *testing.T) {
	if !testenv.Inside(t, syscall.CLONE_NEWNS) {
		return
	}
	testenv.Must(t, syscall.Mount("none", "/proc", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	orders := encode(t, launch.Spec{Argv: []string{"cat", "/proc/self/oom_score_adj"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/", OOMAdj: 321})
	report, code, out := runChild(t, orders, nil)
	if report != launch.Ready || code != 0 || out == "321\n" {
		t.Errorf("got %q, code %d, output %q", report, code, out)
	}
}
