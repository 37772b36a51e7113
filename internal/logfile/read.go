// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"github.com/gateway-init/gateway-init/internal/fsafe"
)

// maxFile bounds the size of a file that is read, in bytes. No log is larger.
const maxFile = 1 << 20

// maxTries bounds how often Read begins again because a new file was begun meanwhile.
const maxTries = 100

// Read returns the content of the log name in dir, whose files belong to owner. It begins
// with a whole line, and its last line may lack its end. The error matches fs.ErrNotExist
// if there is no such log.
func Read(dir *os.File, name string, owner uint32) ([]byte, error) {
	want := fsafe.Want{Type: fsafe.Regular, UID: &owner, Mode: fsafe.Mode(0o600), Links: 1}
	for try := 1; ; try++ {
		older, was, olderErr := fsafe.ReadAt(dir, name+oldSuffix, want, maxFile)
		newer, _, err := fsafe.ReadAt(dir, name, want, maxFile)
		now, missing := fsafe.StatAt(dir, name+oldSuffix)
		switch {
		case !now.Same(was) && try < maxTries: // newer may not be what follows older
		case err != nil && (!errors.Is(err, fs.ErrNotExist) || missing != nil):
			return nil, err
		case !now.Same(was):
			return afterLine(newer), nil
		case olderErr != nil && !errors.Is(olderErr, fs.ErrNotExist):
			return nil, olderErr
		case missing == nil:
			return afterLine(append(older, newer...)), nil
		default:
			return newer, nil
		}
	}
}

// afterLine returns what follows the first line, because that may be the rest of one.
func afterLine(text []byte) []byte {
	if _, rest, ok := bytes.Cut(text, []byte("\n")); ok {
		return rest
	}
	return text
}
