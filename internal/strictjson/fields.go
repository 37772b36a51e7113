// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"errors"
	"strconv"
)

// errField says that a place does not take a value, or that a key has no place.
var errField = errors.New("a value or a key that its place does not take")

// Take puts one value into its place, and reports whether it fits.
type Take func(v *Value) bool

// Fields puts each member of an object into the place of its key, as encoding/json
// does by reflection. It is for texts that we write ourselves. A key without a
// place, or a value that does not fit, is errField. A place whose key is missing is
// not changed.
func (v *Value) Fields(places map[string]Take) error {
	if v.Kind != Object {
		return errField
	}
	for _, m := range v.Members {
		if take := places[m.Key]; take == nil || !take(m.Value) {
			return errField
		}
	}
	return nil
}

// Within returns the place of an object.
func Within(places map[string]Take) Take {
	return func(v *Value) bool { return v.Fields(places) == nil }
}

// Text returns the place of a string.
func Text[T ~string](to *T) Take {
	return func(v *Value) bool {
		*to = T(v.Str)
		return v.Kind == String
	}
}

// Flag returns the place of a boolean.
func Flag(to *bool) Take {
	return func(v *Value) bool {
		*to = v.Bool
		return v.Kind == Bool
	}
}

// Whole returns the place of a number without fraction and exponent that T can hold.
func Whole[T ~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](to *T) Take {
	return func(v *Value) bool {
		n, err := strconv.ParseInt(v.Num, 10, 64)
		*to = T(n)
		return v.Kind == Number && err == nil && int64(*to) == n && (n >= 0) == (*to >= 0)
	}
}

// List returns the place of an array, or of null for one that is empty.
func List[T any](to *[]T, place func(*T) Take) Take {
	return func(v *Value) bool {
		if v.Kind != Array && v.Kind != Null {
			return false
		}
		*to = make([]T, len(v.Items))
		for i, item := range v.Items {
			if !place(&(*to)[i])(item) {
				return false
			}
		}
		return true
	}
}
