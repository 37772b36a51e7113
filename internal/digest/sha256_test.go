package digest

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestSumIsSHA256(t *testing.T) {
	for n := range 400 {
		data := bytes.Repeat([]byte{byte(n), 0xa5, byte(n >> 3)}, n)[:n]
		if Sum(data) != sha256.Sum256(data) {
			t.Fatalf("length %d differs", n)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Sum(data) != sha256.Sum256(data) {
			t.Fatalf("%x differs", data)
		}
	})
}
