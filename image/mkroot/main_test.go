// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func content(source string) ([]byte, error) {
	if source == "missing" {
		return nil, errors.New("no such source")
	}
	return []byte("content of " + source), nil
}

func TestWriteKeepsOwnersAndModes(t *testing.T) {
	var out bytes.Buffer
	manifest := "# comment\ndir /d 1777 0 0\nfile /d/f 0400 9001 9002 @src # why\nlink /l d/f\n"
	if err := write(&out, strings.NewReader(manifest), content); err != nil {
		t.Fatal(err)
	}
	want := []tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o400, Uid: 9001, Gid: 9002, Size: 15},
		{Name: "l", Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "d/f"},
	}
	r := tar.NewReader(&out)
	for _, w := range want {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != w.Name || h.Typeflag != w.Typeflag || h.Mode != w.Mode || h.Uid != w.Uid || h.Gid != w.Gid || h.Size != w.Size || h.Linkname != w.Linkname {
			t.Errorf("got %+v, want %+v", h, w)
		}
		if h.ModTime.Unix() != 0 || h.Uname != "" {
			t.Errorf("%s: carries something of this machine: %v %q", h.Name, h.ModTime, h.Uname)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, manifest := range map[string]string{
		"unknown-kind":   "device /d 0755 0 0",
		"missing-field":  "dir /d 0755 0",
		"relative-path":  "dir d 0755 0 0",
		"unclean-path":   "dir /d/../e 0755 0 0",
		"root-itself":    "dir / 0755 0 0",
		"bad-mode":       "dir /d 0789 0 0",
		"bad-owner":      "dir /d 0755 root 0",
		"missing-source": "file /f 0644 0 0 missing",
	} {
		t.Run(name, func(t *testing.T) {
			err := write(io.Discard, strings.NewReader("\n"+manifest), content)
			if err == nil || !strings.Contains(err.Error(), "line 2") {
				t.Errorf("got %v, want an error that names line 2", err)
			}
		})
	}
}
