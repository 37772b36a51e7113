// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func (o *Options) rewrite(value string) error {
	from, to, _ := strings.Cut(value, ":")
	a, okA := signalNumber(from)
	b, okB := signalNumber(to)
	if to == "0" {
		b, okB = 0, true
	}
	if !okA || !okB {
		return fmt.Errorf("%.32q is no rewrite: give A:B, two signals by name or number, or A:0", value)
	}
	o.Rewrite[a] = uint8(b)
	return nil
}

// maxGrace is a day, because no user waits longer for a container to end.
const maxGrace = 24 * time.Hour

func (o *Options) grace(value string) error {
	text := value
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxGrace {
		return fmt.Errorf("%.32q is no time to wait: give --grace seconds, or 500ms, 10s, 2m", value)
	}
	o.Grace = d
	return nil
}

// environment reads tini's variables.
func (o *Options) environment(getenv func(string) (string, bool)) error {
	if _, set := getenv("TINI_SUBREAPER"); set {
		o.Subreaper = true
	}
	if _, set := getenv("TINI_KILL_PROCESS_GROUP"); set {
		o.Group = true
	}
	if text, _ := getenv("TINI_VERBOSITY"); text != "" { // compose sets an empty one for a variable that it does not have
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("TINI_VERBOSITY is %.32q: give a number from 0 to 4", text)
		}
		o.Verbosity = n
	}
	return nil
}
