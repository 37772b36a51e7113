package launch

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"gatewayinit/internal/testenv"
)

// TestOrdersArrive: what PID 1 encodes, the stage reads; no field is forgotten.
func TestOrdersArrive(t *testing.T) {
	token := Token{Name: "gateway-token", Env: "TOKEN", UID: 1<<32 - 1, GID: 9, Any: true, Handed: true}
	for i := range token.Sum {
		token.Sum[i] = byte(255 - i)
	}
	hand := token
	hand.Env = "OTHER"
	all := Spec{
		Argv: []string{"/bin/a b", "<&>\u2028\n\"", ""}, Env: []string{"A=\x7f\t", "B=é"}, Dir: "/x", Umask: 0o027, Nofile: 1 << 20,
		OOMAdj: -1000, Foreground: true, Token: &token, Worker: json.RawMessage(`{"a":[1,"}"]}`), Hand: &hand,
	}
	for value, i := reflect.ValueOf(all), 0; i < value.NumField(); i++ {
		if value.Field(i).IsZero() {
			t.Errorf("the test leaves %s empty", value.Type().Field(i).Name)
		}
	}
	for name, want := range map[string]Spec{"all": all, "least": {}, "token": {Token: &Token{}}} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(want)
			testenv.Must(t, err)
			if got, err := ReadSpec(written(t, data)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %+v, %v\nwant %+v", data, got, err, want)
			}
		})
	}
	for name, text := range map[string]string{
		"unknown-key":  `{"argv":["a"],"umask":7,"shell":true}`,
		"short-sum":    `{"token":{"sum":[1,2]}}`,
		"long-sum":     `{"token":{"sum":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}`,
		"negative-uid": `{"hand":{"uid":-1}}`,
	} {
		if s, err := ReadSpec(written(t, []byte(text))); err == nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func written(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := t.TempDir() + "/spec"
	testenv.Must(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	testenv.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
