package launch

import (
	"encoding/json"
	"os"

	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/strictjson"
)

// ReadSpec reads the stage's orders. The parser is the configuration's: that of
// encoding/json would make PID 1 90 KiB bigger.
func ReadSpec(f *os.File) (Spec, error) {
	var s Spec
	data, err := fsafe.ReadAll(f, maxSpec)
	if err != nil {
		return s, err
	}
	v, err := strictjson.Parse(data)
	if err != nil {
		return s, err
	}
	return s, v.Fields(map[string]strictjson.Take{
		"argv":       strictjson.List(&s.Argv, strictjson.Text[string]),
		"env":        strictjson.List(&s.Env, strictjson.Text[string]),
		"dir":        strictjson.Text(&s.Dir),
		"umask":      strictjson.Whole(&s.Umask),
		"nofile":     strictjson.Whole(&s.Nofile),
		"oom_adj":    strictjson.Whole(&s.OOMAdj),
		"foreground": strictjson.Flag(&s.Foreground),
		"token":      takeToken(&s.Token),
		"hand":       takeToken(&s.Hand),
		"worker": func(v *strictjson.Value) bool {
			s.Worker = json.RawMessage(data[v.Start:v.End])
			return true
		},
	})
}

// takeToken is the place of a Token.
func takeToken(to **Token) strictjson.Take {
	t := new(Token)
	fields := strictjson.Within(map[string]strictjson.Take{
		"name":   strictjson.Text(&t.Name),
		"env":    strictjson.Text(&t.Env),
		"uid":    strictjson.Whole(&t.UID),
		"gid":    strictjson.Whole(&t.GID),
		"any_fs": strictjson.Flag(&t.Any),
		"handed": strictjson.Flag(&t.Handed),
		"sum":    takeSum(&t.Sum),
	})
	return func(v *strictjson.Value) bool {
		*to = t
		return fields(v)
	}
}

// takeSum is the place of a digest: as many numbers as it has bytes.
func takeSum(to *[32]byte) strictjson.Take {
	var bytes []uint8
	list := strictjson.List(&bytes, strictjson.Whole[uint8])
	return func(v *strictjson.Value) bool {
		return list(v) && copy(to[:], bytes) == len(to) && len(bytes) == len(to)
	}
}
