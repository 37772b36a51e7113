// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// encode returns the orders in the form that the re-exec child reads: the Spec as
// JSON, then Dir, each word of Argv and each variable of Env after a NUL. JSON could
// carry them only if they were UTF-8, and needs six bytes for some. The JSON has no
// NUL, because encoding/json escapes it.
func (s Spec) encode() ([]byte, error) {
	data, err := json.Marshal(struct {
		Spec
		Args int `json:"args,omitempty"` // the words of Argv
	}{s, len(s.Argv)})
	if err != nil {
		return nil, err
	}
	texts := slices.Concat([]string{s.Dir}, s.Argv, s.Env)
	size := 0
	for i, text := range texts {
		if strings.IndexByte(text, 0) >= 0 {
			return nil, fmt.Errorf("cannot pass %s: it holds a NUL: %w", s.textName(i), syscall.EINVAL)
		}
		size += 1 + len(text)
	}
	if size > maxTexts {
		return nil, fmt.Errorf("cannot pass arguments and an environment of %d bytes: the kernel takes at most %d: %w", size, maxTexts, syscall.E2BIG)
	}
	out := append(make([]byte, 0, len(data)+size), data...)
	for _, text := range texts {
		out = append(append(out, 0), text...)
	}
	return out, nil
}

// maxPass bounds the descriptors that a target gets.
const maxPass = 16

// textName names the text at i of the orders for messages, without a variable's value.
func (s Spec) textName(i int) string {
	switch {
	case i == 0:
		return "the working directory"
	case i <= len(s.Argv):
		return "argument " + strconv.Itoa(i-1)
	}
	name, _, _ := strings.Cut(s.Env[i-1-len(s.Argv)], "=")
	return fmt.Sprintf("the variable %.40q", name)
}

// ReadSpec reads the re-exec child's orders. It uses the parser of the configuration,
// because that of encoding/json would make PID 1 90 KiB bigger.
func ReadSpec(f *os.File) (Spec, error) {
	var s Spec
	all, err := fsafe.ReadAll(f, maxOrders+maxTexts)
	if err != nil {
		return s, err
	}
	data, rest, _ := bytes.Cut(all, []byte{0})
	texts, args := strings.Split(string(rest), "\x00"), 0
	v, err := strictjson.Parse(data)
	if err != nil {
		return s, err
	}
	err = v.Fields(map[string]strictjson.Take{
		"args":       strictjson.Whole(&args),
		"umask":      strictjson.Whole(&s.Umask),
		"mask":       strictjson.Whole(&s.Mask),
		"nofile":     strictjson.Whole(&s.Nofile),
		"file_size":  strictjson.Whole(&s.FileSize),
		"oom_adj":    strictjson.Whole(&s.OOMAdj),
		"stay":       strictjson.Flag(&s.Stay),
		"foreground": strictjson.Flag(&s.Foreground),
		"confine":    strictjson.Flag(&s.Confine),
		"token":      takeToken(&s.Token),
		"life":       strictjson.Flag(&s.Life),
		"pass":       strictjson.Whole(&s.Pass),
		"listen":     strictjson.Flag(&s.Listen),
		"worker": func(v *strictjson.Value) bool {
			s.Worker = json.RawMessage(data[v.Start:v.End])
			return true
		},
	})
	if err != nil || args < 0 || args >= len(texts) || s.Pass < 0 || s.Pass > maxPass {
		return s, cmp.Or(err, error(syscall.EINVAL))
	}
	s.Dir, s.Argv, s.Env = texts[0], append(s.Argv, texts[1:1+args]...), append(s.Env, texts[1+args:]...)
	return s, nil
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
