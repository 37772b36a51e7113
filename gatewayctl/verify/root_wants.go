// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"path"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// wantPins requests the hashes of pinned files. The check reports any errors in
// the pins.
func wantPins(unsafeRoot string, s *layerScan) {
	data, err := readBelow(unsafeRoot, seal.PinFile, seal.MaxPinFile)
	if err != nil {
		return
	}
	pins, _ := seal.ParsePins(data)
	for _, p := range pins {
		s.sums[p.Path] = true
	}
}

// wantTokenNames has the files searched for the token's variables of the configuration.
// The check config reports any errors in it.
func wantTokenNames(unsafeRoot string, s *layerScan) {
	data, err := readBelow(unsafeRoot, config.DefaultFile, config.MaxSize)
	if err != nil {
		return
	}
	if c, err := config.Parse(data, config.DefaultFile); err == nil {
		s.text.names = append(s.text.names, tokenNames(c)...)
	}
}

// readBelow reads a regular file of the tree, following no link.
func readBelow(unsafeRoot, unsafePath string, most int) ([]byte, error) {
	dir, err := fsafe.OpenDir(path.Join(unsafeRoot, path.Dir(unsafePath)))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	data, _, err := fsafe.ReadAt(dir, path.Base(unsafePath), fsafe.Want{Type: fsafe.Regular}, most)
	return data, err
}
