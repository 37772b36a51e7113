// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"reflect"
	"testing"
)

// TestOwnersKnowNoOtherOwner checks that no owner can reach another one or the loop, and
// that none has more than 15 fields.
func TestOwnersKnowNoOtherOwner(t *testing.T) {
	owners := []reflect.Type{reflect.TypeFor[gatewayUnit](), reflect.TypeFor[prover](), reflect.TypeFor[requests](),
		reflect.TypeFor[sidecars](), reflect.TypeFor[relay](), reflect.TypeFor[shutdown]()}
	apart := append(owners, reflect.TypeFor[Supervisor]())
	for _, owner := range append(owners, reflect.TypeFor[common]()) {
		if n := owner.NumField(); n > 15 {
			t.Errorf("%v has %d fields", owner, n)
		}
		for _, other := range apart {
			if other != owner && reaches(owner, other, map[reflect.Type]bool{}) {
				t.Errorf("%v reaches %v", owner, other)
			}
		}
	}
}

// reaches reports whether a value of type from can hold or point to one of type to.
func reaches(from, to reflect.Type, seen map[reflect.Type]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	switch from.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan, reflect.Map:
		if from.Kind() == reflect.Map && reaches(from.Key(), to, seen) {
			return true
		}
		return reaches(from.Elem(), to, seen)
	case reflect.Struct:
		for i := range from.NumField() {
			if reaches(from.Field(i).Type, to, seen) {
				return true
			}
		}
	}
	return false
}
