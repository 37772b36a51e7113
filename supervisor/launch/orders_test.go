// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestOrdersArrive checks that no field is forgotten.
func TestOrdersArrive(t *testing.T) {
	token := Token{Env: "TOKEN"}
	for i := range token.Sum {
		token.Sum[i] = byte(255 - i)
	}
	all := Spec{
		Argv: []string{"/bin/a b", "<&>\u2028\n\"", "\xe9", ""}, Env: []string{"A=\x7f\t", "B=é", "C=\xff\xfe", "", "D"}, Dir: "/x\xff", Stay: true, Umask: 0o027, Mask: -1 << 62, Nofile: 1 << 20, FileSize: 1 << 12, Life: true, Pass: maxPass, Listen: true,
		OOMAdj: -1000, Foreground: true, Confine: true, Token: &token, Worker: json.RawMessage(`{"a":[1,"}"]}`),
	}
	for value, i := reflect.ValueOf(all), 0; i < value.NumField(); i++ {
		if value.Field(i).IsZero() {
			t.Errorf("the test leaves %s empty", value.Type().Field(i).Name)
		}
	}
	large := Spec{Env: []string{"A=" + strings.Repeat("x", 120<<10), strings.Repeat("y", maxTexts-(120<<10)-5)}}
	for name, want := range map[string]Spec{"all": all, "least": {}, "token": {Token: &Token{}}, "one-empty": {Env: []string{""}}, "empty-word": {Argv: []string{""}}, "large": large} {
		t.Run(name, func(t *testing.T) {
			data, err := want.encode()
			testenv.Must(t, err)
			if got, err := ReadSpec(written(t, data)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%.200s:\ngot  %.200v, %v\nwant %.200v", data, got, err, want)
			}
		})
	}
	for name, text := range map[string]string{
		"unknown-key": `{"umask":7,"shell":true}` + "\x00/",
		"env-in-json": `{"env":["A=b"]}` + "\x00/",
		"few-words":   `{"args":2}` + "\x00/\x00true",
		"no-count":    `{"args":-1}` + "\x00/\x00true",
		"pass-many":   `{"args":1,"pass":17}` + "\x00/\x00true",
		"pass-minus":  `{"args":1,"pass":-1}` + "\x00/\x00true",
		"short-sum":   `{"token":{"sum":[1,2]}}`,
		"long-sum":    `{"token":{"sum":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}`,
		"umask-text":  `{"umask":"7"}`,
	} {
		if s, err := ReadSpec(written(t, []byte(text))); err == nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

// TestOrdersRefused checks that orders that could not arrive whole are an error of
// the launch, which names the variable and not its value.
func TestOrdersRefused(t *testing.T) {
	argv, env := []string{"true"}, []string{"A=b"}
	for name, c := range map[string]struct {
		spec Spec
		want error
		says string
	}{
		"nul":             {Spec{Argv: argv, Env: append(env, "KEY=sec\x00ret")}, syscall.EINVAL, `"KEY"`},
		"nul-in-argument": {Spec{Argv: append(argv, "a", "sec\x00ret"), Env: env}, syscall.EINVAL, "argument 2"},
		"nul-in-dir":      {Spec{Argv: argv, Dir: "/sec\x00"}, syscall.EINVAL, "working directory"},
		"too-large":       {Spec{Argv: argv, Env: append(env, strings.Repeat("x", maxTexts-10))}, syscall.E2BIG, "6291457 bytes: the kernel takes at most 6291456"},
		"many-arguments":  {Spec{Argv: slices.Repeat(argv, maxTexts/5), Env: env}, syscall.E2BIG, "at most 6291456"},
	} {
		data, err := c.spec.encode()
		if data != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func written(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := t.TempDir() + "/spec"
	testenv.Must(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	testenv.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
