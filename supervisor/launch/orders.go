// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// encode returns the orders in the form that the re-exec child reads: the Spec as
// JSON, then each variable of Env after a NUL. The JSON has no NUL, because
// encoding/json escapes it. JSON cannot carry a variable that is no UTF-8.
func (s Spec) encode() ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, kv := range s.Env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.IndexByte(kv, 0) >= 0 {
			return nil, fmt.Errorf("cannot pass the variable %.40q: it holds a NUL: %w", name, syscall.EINVAL)
		}
		size += 1 + len(kv)
	}
	if size > maxEnv {
		return nil, fmt.Errorf("cannot pass an environment of %d bytes: at most %d are possible: %w", size, maxEnv, syscall.E2BIG)
	}
	out := make([]byte, 0, len(data)+size)
	out = append(out, data...)
	for _, kv := range s.Env {
		out = append(append(out, 0), kv...)
	}
	return out, nil
}

// ReadSpec reads the re-exec child's orders. It uses the parser of the configuration,
// because that of encoding/json would make PID 1 90 KiB bigger.
func ReadSpec(f *os.File) (Spec, error) {
	var s Spec
	all, err := fsafe.ReadAll(f, maxOrders+maxEnv)
	if err != nil {
		return s, err
	}
	parts := bytes.Split(all, []byte{0})
	data := parts[0]
	for _, kv := range parts[1:] {
		s.Env = append(s.Env, string(kv))
	}
	v, err := strictjson.Parse(data)
	if err != nil {
		return s, err
	}
	return s, v.Fields(map[string]strictjson.Take{
		"argv":       strictjson.List(&s.Argv, strictjson.Text[string]),
		"dir":        strictjson.Text(&s.Dir),
		"umask":      strictjson.Whole(&s.Umask),
		"nofile":     strictjson.Whole(&s.Nofile),
		"oom_adj":    strictjson.Whole(&s.OOMAdj),
		"foreground": strictjson.Flag(&s.Foreground),
		"token":      takeToken(&s.Token),
		"worker": func(v *strictjson.Value) bool {
			s.Worker = json.RawMessage(data[v.Start:v.End])
			return true
		},
	})
}

// takeToken returns the function that decodes a Token into to.
func takeToken(to **Token) strictjson.Take {
	t := new(Token)
	fields := strictjson.Within(map[string]strictjson.Take{
		"env": strictjson.Text(&t.Env),
		"sum": takeSum(&t.Sum),
	})
	return func(v *strictjson.Value) bool {
		*to = t
		return fields(v)
	}
}

// takeSum returns the function that decodes a digest into to. A digest is a list of
// as many numbers as it has bytes.
func takeSum(to *[32]byte) strictjson.Take {
	var bytes []uint8
	list := strictjson.List(&bytes, strictjson.Whole[uint8])
	return func(v *strictjson.Value) bool {
		return list(v) && copy(to[:], bytes) == len(to) && len(bytes) == len(to)
	}
}
