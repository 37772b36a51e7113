// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
)

// TestJobArrives checks that the worker reads every field that PID 1 encodes.
func TestJobArrives(t *testing.T) {
	all := Job{
		Mode: Prove, Port: 65535, UID: 1<<32 - 1, PID: 4194304, Held: []uint64{1, 1 << 62}, Wait: 2 * time.Second, Deadline: time.Hour + 1,
		Check: config.Probe{Path: "/r?a=<&>", Status: []int{200, 204}, JSON: []config.Expect{{Key: "ok", Value: `"a\"b"`}, {Key: "n", Value: "1.50"}}, Timeout: 3 * time.Second},
		Auth:  &config.AuthCheck{Method: "POST", Path: "/x", Body: `{"tool":"nosuch"}`, WithToken: []int{404}, WithoutToken: []int{401, 403}},
	}
	for _, v := range []reflect.Value{reflect.ValueOf(all), reflect.ValueOf(all.Check), reflect.ValueOf(*all.Auth)} {
		for i := range v.NumField() {
			if f := v.Type().Field(i); v.Field(i).IsZero() && f.Tag.Get("json") != "-" {
				t.Errorf("the test leaves %s empty", f.Name)
			}
		}
	}
	for name, want := range map[string]Job{
		"all":    all,
		"health": {Mode: Health, Port: 1, Check: config.Probe{Path: "/h", Status: []int{200}}},
	} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseJob(data); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s:\ngot  %+v, %v\nwant %+v", name, data, got, err, want)
		}
	}
	for name, text := range map[string]string{
		"no-json": "{", "array": "[]", "port": `{"port":65536}`, "addr": `{"addr":"localhost:1"}`, "unknown": `{"shell":1}`, "auth": `{"auth":{"path":1}}`, "check": `{"check":{"json":[{"key":"a","value":1}]}}`,
	} {
		if j, err := ParseJob([]byte(text)); err == nil {
			t.Errorf("%s: got %+v", name, j)
		}
	}
}
