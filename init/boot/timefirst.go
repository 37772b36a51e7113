// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"io"
)

// timeFirst moves the time of each JSON line to its front, where a reader looks for
// it. zerolog adds it behind the fields.
type timeFirst struct{ w io.Writer }

// timeMember begins the member with the time. No string can hold these bytes,
// because JSON escapes the quotes.
var timeMember = []byte(`,"time":"`)

func (t timeFirst) Write(line []byte) (int, error) {
	at := bytes.Index(line, timeMember)
	end := -1
	if at >= 0 {
		end = bytes.IndexByte(line[at+len(timeMember):], '"')
	}
	if end < 0 || line[0] != '{' {
		_, err := t.w.Write(line)
		return len(line), err
	}
	end += at + len(timeMember) + 1
	out := make([]byte, 0, len(line))
	out = append(append(out, '{'), line[at+1:end]...)
	out = append(append(append(out, ','), line[1:at]...), line[end:]...)
	_, err := t.w.Write(out)
	return len(line), err
}
