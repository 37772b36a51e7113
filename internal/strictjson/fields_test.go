// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

// places has one field of each kind.
type places struct {
	Text  string             `json:"text"`
	Flag  bool               `json:"flag"`
	Int   int                `json:"int"`
	Byte  uint8              `json:"byte"`
	Large uint64             `json:"large"`
	List  []string           `json:"list"`
	Deep  [][]int64          `json:"deep"`
	In    struct{ A uint16 } `json:"in"`
}

func (p *places) take() map[string]Take {
	return map[string]Take{
		"text": Text(&p.Text), "flag": Flag(&p.Flag), "int": Whole(&p.Int), "byte": Whole(&p.Byte), "large": Whole(&p.Large),
		"list": List(&p.List, Text[string]),
		"deep": List(&p.Deep, func(row *[]int64) Take { return List(row, Whole[int64]) }),
		"in":   Within(map[string]Take{"A": Whole(&p.In.A)}),
	}
}

func TestFields(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		bad  bool
	}{
		"nothing":          {`{}`, false},
		"all":              {`{"text":"x\u0000é","flag":true,"int":-5,"byte":255,"large":9223372036854775807,"list":["a",""],"deep":[[1],[],[2,-3]],"in":{"A":65535}}`, false},
		"empty-list":       {`{"list":[]}`, false},
		"null-list":        {`{"list":null}`, false},
		"no-object":        {`[]`, true},
		"null":             {`null`, true},
		"unknown-key":      {`{"texts":"x"}`, true},
		"key-in-capitals":  {`{"Text":"x"}`, true},
		"text-number":      {`{"text":1}`, true},
		"text-null":        {`{"text":null}`, true},
		"flag-number":      {`{"flag":1}`, true},
		"number-text":      {`{"int":"1"}`, true},
		"number-null":      {`{"int":null}`, true},
		"fraction":         {`{"int":1.0}`, true},
		"exponent":         {`{"int":1e2}`, true},
		"beyond-byte":      {`{"byte":256}`, true},
		"below-byte":       {`{"byte":-1}`, true},
		"below-large":      {`{"large":-1}`, true},
		"beyond-all":       {`{"large":9223372036854775808}`, true},
		"list-of-numbers":  {`{"list":[1]}`, true},
		"list-no-list":     {`{"list":{}}`, true},
		"list-text":        {`{"list":"a"}`, true},
		"deep-bad":         {`{"deep":[[1],["a"]]}`, true},
		"within-bad":       {`{"in":{"A":65536}}`, true},
		"within-no-object": {`{"in":[]}`, true},
		"within-unknown":   {`{"in":{"B":1}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got, want places
			err = v.Fields(got.take())
			if (err != nil) != c.bad || err != nil && !errors.Is(err, errField) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if c.bad {
				return
			}
			if err := json.Unmarshal([]byte(c.text), &want); err != nil {
				t.Fatal(err)
			}
			if len(want.List) == 0 { // nil or empty: no difference
				got.List, want.List = nil, nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, encoding/json %+v", got, want)
			}
		})
	}
}

// FuzzFields checks that text of encoding/json comes back as it was.
func FuzzFields(f *testing.F) {
	f.Add("x", true, -1, uint8(3), uint64(1)<<62, "a", int64(math.MinInt64), uint16(7))
	f.Fuzz(func(t *testing.T, text string, flag bool, n int, b uint8, large uint64, item string, deep int64, a uint16) {
		want := places{Text: text, Flag: flag, Int: n, Byte: b, Large: large >> 1, List: []string{item, text}, Deep: [][]int64{{deep}, {}}}
		want.In.A = a
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		// encoding/json changes text that is no UTF-8, so read that text with it.
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		v, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		var got places
		if err := v.Fields(got.take()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", data, got, err)
		}
	})
}
