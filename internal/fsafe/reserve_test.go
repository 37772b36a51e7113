// SPDX-License-Identifier: Apache-2.0

package fsafe

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gateway-init/gateway-init/internal/testenv"
)

// fill takes all space of dir.
func fill(t *testing.T, dir *os.File) *os.File {
	t.Helper()
	hog, err := os.Create(testenv.Path(dir, "hog"))
	testenv.Must(t, err)
	t.Cleanup(func() { hog.Close() })
	for err == nil {
		_, err = hog.Write(make([]byte, 512))
	}
	if !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
		t.Fatal(err)
	}
	return hog
}

// TestReservedWorksWhenFull checks that a file can be replaced again and again, by
// shorter and longer content, while another process has all other space.
func TestReservedWorksWhenFull(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=64k")
	r, err := NewReserved(dir, "record", 8<<10)
	testenv.Must(t, err)
	testenv.Must(t, r.Replace([]byte("first\n")))
	hog := fill(t, dir)
	read := func() []byte {
		data, err := os.ReadFile(testenv.Path(dir, "record"))
		testenv.Must(t, err)
		return bytes.TrimRight(data, " ")
	}
	for _, size := range []int{10, 8 << 10, 1, 5000, 8 << 10, 4097} {
		data := append(bytes.Repeat([]byte("x"), size-1), '\n')
		if err := r.Replace(data); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got := read(); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: read %d", size, len(got))
		}
	}
	if err := r.Replace(make([]byte, 9<<10)); err == nil {
		t.Error("more than the reserve was written")
	}
	testenv.Must(t, os.Remove(hog.Name()))
	testenv.Must(t, hog.Close())
	testenv.Must(t, r.Replace([]byte("last\n")))
	if got, err := os.ReadFile(testenv.Path(dir, "record")); err != nil || string(got) != "last\n" {
		t.Errorf("with space again: %q %v", got, err)
	}
}

// TestReservedKeepsAReader checks that a reader who has the old content open goes on
// reading it, and that only a file of ours is written.
func TestReservedKeepsAReader(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=64k")
	r, err := NewReserved(dir, "record", 4<<10)
	testenv.Must(t, err)
	testenv.Must(t, r.Replace([]byte("old\n")))
	reader, err := os.Open(testenv.Path(dir, "record"))
	testenv.Must(t, err)
	defer reader.Close()
	fill(t, dir)
	testenv.Must(t, r.Replace([]byte("new\n")))
	if data := make([]byte, 10); true {
		n, _ := reader.Read(data)
		if string(data[:n]) != "old\n" {
			t.Errorf("a reader in between reads %q", data[:n])
		}
	}
	testenv.Must(t, os.Remove(testenv.Path(dir, "record.reserve")))
	testenv.Must(t, os.Symlink("hog", testenv.Path(dir, "record.reserve")))
	if err := r.Replace([]byte("newer\n")); err == nil {
		t.Error("a link was written through")
	}
}

// TestReserveIsMadeAgain checks that a reserve that took the place of a missing file is
// there again after the next write with space.
func TestReserveIsMadeAgain(t *testing.T) {
	dir := testenv.Tmpfs(t, "size=64k")
	r, err := NewReserved(dir, "record", 4<<10)
	testenv.Must(t, err)
	testenv.Must(t, r.Replace([]byte("first\n")))
	for range 2 {
		hog := fill(t, dir)
		testenv.Must(t, os.Remove(testenv.Path(dir, "record")))
		_, err = hog.Write(make([]byte, 4<<10)) // the space of the record that is gone
		testenv.Must(t, err)
		testenv.Must(t, r.Replace([]byte("second\n")))
		if err := r.Replace([]byte("third\n")); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("without a reserve and without space: %v", err)
		}
		testenv.Must(t, os.Remove(hog.Name()))
		testenv.Must(t, hog.Close())
		testenv.Must(t, r.Replace([]byte("fourth\n")))
		if _, err := os.Stat(testenv.Path(dir, "record.reserve")); err != nil {
			t.Error(err)
		}
	}
}
