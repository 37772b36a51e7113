// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"
)

func TestTimeFirst(t *testing.T) {
	for in, want := range map[string]string{
		`{"level":"info","event":"a","time":"T"}` + "\n":            `{"time":"T","level":"info","event":"a"}` + "\n",
		`{"level":"info","time":"T","message":"m"}` + "\n":          `{"time":"T","level":"info","message":"m"}` + "\n",
		`{"level":"info","a":"x,\"time\":\"y\"","time":"T"}` + "\n": `{"time":"T","level":"info","a":"x,\"time\":\"y\""}` + "\n",
		`{"level":"info"}` + "\n":                                   `{"level":"info"}` + "\n",
		`{"level":"info","time":"cut`:                               `{"level":"info","time":"cut`,
		"":                                                          "",
	} {
		var out bytes.Buffer
		if n, err := (timeFirst{&out}).Write([]byte(in)); n != len(in) || err != nil || out.String() != want {
			t.Errorf("%q became %q, want %q (%d, %v)", in, out.String(), want, n, err)
		}
	}
}

// TestLogger checks the order of a line: time in milliseconds, level, origin, event.
func TestLogger(t *testing.T) {
	const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
	for format, want := range map[string]string{
		"json": `^\{"time":"` + stamp + `","level":"warn","origin":"init","event":"x","n":1,"message":"m"\}\n$`,
		"text": `^time=` + stamp + ` level=warn origin=init event=x n=1 message=m\n$`,
	} {
		var out bytes.Buffer
		log := logger(format, &out).With().Str("origin", "init").Logger()
		log.Warn().Str("event", "x").Int("n", 1).Msg("m")
		if !regexp.MustCompile(want).Match(out.Bytes()) || format == "json" && !json.Valid(out.Bytes()) {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}
