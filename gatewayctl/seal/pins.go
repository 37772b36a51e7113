// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// PinFile holds the pins; MaxPinFile and maxPins are its limits.
const (
	PinFile    = "/etc/gateway-init/seal.json"
	MaxPinFile = 64 << 10 // bytes
	maxPins    = 64
)

// Pin is a file whose content is fixed.
type Pin struct {
	Path   string `json:"path"`   // absolute and clean
	SHA256 string `json:"sha256"` // 64 lower-case hex digits
}

const schema = 1

type pinFile struct {
	Schema int   `json:"schema"`
	Files  []Pin `json:"files"`
}

// ParsePins reads seal.json. Like our configuration it accepts no unknown keys,
// because a misspelled key would be a file that no check reads.
func ParsePins(data []byte) ([]Pin, error) {
	root, err := strictjson.Parse(data)
	if err != nil {
		return nil, err
	}
	if err := keys(root, "schema", "files"); err != nil {
		return nil, err
	}
	if v := root.Get("schema"); v.Kind != strictjson.Number || v.Num != "1" {
		return nil, refuse(v, "schema: is not 1: use the gatewayctl that wrote it")
	}
	files := root.Get("files")
	if files.Kind != strictjson.Array || len(files.Items) > maxPins {
		return nil, refuse(files, "files: is not an array of at most %d", maxPins)
	}
	pins := []Pin{}
	for _, item := range files.Items {
		if err := keys(item, "path", "sha256"); err != nil {
			return nil, err
		}
		p := Pin{item.Get("path").Str, item.Get("sha256").Str}
		if err := p.check(); err != nil {
			return nil, refuse(item, "%v", err)
		}
		if slices.ContainsFunc(pins, func(o Pin) bool { return o.Path == p.Path }) {
			return nil, refuse(item, "%.200q is there twice", p.Path)
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// keys refuses v unless it is an object with exactly the keys in want.
func keys(v *strictjson.Value, want ...string) error {
	if v.Kind != strictjson.Object {
		return refuse(v, "is %v, not an object", v.Kind)
	}
	for _, m := range v.Members {
		if !slices.Contains(want, m.Key) {
			return &ContentError{m.Line, m.Col, fmt.Sprintf("%.64q: unknown key", m.Key)}
		}
	}
	for _, k := range want {
		if v.Get(k) == nil {
			return refuse(v, "%s: is missing", k)
		}
	}
	return nil
}

func (p Pin) check() error {
	switch sum, err := hex.DecodeString(p.SHA256); {
	case !path.IsAbs(p.Path) || path.Clean(p.Path) != p.Path || strings.Contains(p.Path, "\x00"):
		return errors.New("path: is not an absolute, clean path")
	case err != nil || len(sum) != 32 || strings.ToLower(p.SHA256) != p.SHA256:
		return errors.New("sha256: is not 64 lower-case hex digits")
	}
	return nil
}

// encodePins returns the text that ParsePins reads, in order of path.
func encodePins(pins []Pin) ([]byte, error) {
	if len(pins) > maxPins {
		return nil, fmt.Errorf("cannot pin more than %d files", maxPins)
	}
	slices.SortFunc(pins, func(a, b Pin) int { return strings.Compare(a.Path, b.Path) })
	data, err := json.Marshal(pinFile{schema, pins})
	return append(data, '\n'), err
}

// replacePin returns pins with p, in place of an older pin of the same path.
func replacePin(pins []Pin, p Pin) []Pin {
	return append(slices.DeleteFunc(slices.Clone(pins), func(o Pin) bool { return o.Path == p.Path }), p)
}
