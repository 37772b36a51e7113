// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/testenv"
)

// TestLimits checks that entries, memory and bytes count against the limits, and that
// the error is one line that says which limit and where.
func TestLimits(t *testing.T) {
	f := demo(t)
	f.above("/etc/profile", file(0o644, "A_TOKEN=s3cret\n"))
	data := f.legacy(t)
	_, all, err := readAll(data)
	testenv.Must(t, err)
	used, entries := maxHeld-all.held, maxEntries-all.entries
	long := makeArchive(t, headers(t, &tar.Header{Name: "long", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("x", 5000), Format: tar.FormatPAX}))
	for name, c := range map[string]struct {
		data []byte
		b    budget
		want string
	}{
		"entries":        {data, budget{10, maxHeld, maxBytes}, "more than 524288 entries, at /"},
		"last-entry":     {data, budget{entries - 1, maxHeld, maxBytes}, "more than 524288 entries, at /manifest.json"},
		"names":          {data, budget{maxEntries, 5 * entryCost, maxBytes}, "more than 268435456 bytes of entries, names and texts, at /"},
		"texts":          {data, budget{maxEntries, used - 1, maxBytes}, "names and texts, at /manifest.json"},
		"target-of-link": {long, budget{maxEntries, 5000, maxBytes}, "names and texts, at /long"},
		"bytes":          {data, budget{maxEntries, maxHeld, 10000}, "more than 68719476736 bytes, at "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newLayerScan(nil, known(t))
			s.budget = &c.b
			_, err := readArchive(bytes.NewReader(c.data), s)
			if !errors.Is(err, errLimit) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, entries := range []int{20, 3} {
		s := newLayerScan(nil, known(t))
		s.budget = &budget{entries, maxHeld, maxBytes}
		_, err := Root(f.write(t)).read(context.Background(), s)
		if !errors.Is(err, errLimit) || !strings.Contains(err.Error(), "entries, at /") {
			t.Errorf("a directory with %d entries: got %v", entries, err)
		}
	}
}

// TestRepeatedLayerCounts checks that a small archive cannot name one layer so often
// that its tree takes all time and memory.
func TestRepeatedLayerCounts(t *testing.T) {
	l := layerOf{}
	for i := range 100 {
		l[fmt.Sprintf("/f%d", i)] = file(0o644, "")
	}
	data := l.tar(t)
	image := func(times int) []byte {
		var names []string
		var ids [][]byte
		for range times {
			names, ids = append(names, "l.tar"), append(ids, data)
		}
		return pack(t, []member{{name: "l.tar", data: data}, {name: "c.json", data: toJSON(t, map[string]any{"rootfs": rootFS(ids...)})},
			{name: "manifest.json", data: toJSON(t, []map[string]any{{"Config": "c.json", "Layers": names}})}})
	}
	for times, want := range map[int]string{3: "", 11: "more than 524288 entries, at layer l.tar", maxLayers + 1: "more than 512 layers, in c.json"} {
		s := newLayerScan(nil, known(t))
		s.budget.entries = 1000
		_, err := readArchive(bytes.NewReader(image(times)), s)
		if want == "" && err != nil || want != "" && (!errors.Is(err, errLimit) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d times: got %v, want %q", times, err, want)
		}
	}
}

// TestPackedArchiveIsBounded checks that bytes count that gzip makes of few, also those
// that no check looks at.
func TestPackedArchiveIsBounded(t *testing.T) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	testenv.Must(t, err)
	w := tar.NewWriter(z)
	testenv.Must(t, w.WriteHeader(&tar.Header{Name: "sparse", Typeflag: tar.TypeCont, Size: 64 << 20}))
	for range 64 {
		_, err := w.Write(make([]byte, 1<<20))
		testenv.Must(t, err)
	}
	testenv.Must(t, errors.Join(w.Close(), z.Close()))
	s := newLayerScan(nil, known(t))
	s.budget.bytes = 1 << 20
	if _, err := readArchive(bytes.NewReader(b.Bytes()), s); err == nil {
		t.Error("it was read")
	}
	if read := 1<<20 - s.budget.bytes; read > 2<<20 {
		t.Errorf("%d bytes were unpacked", read)
	}
}

// TestLargeJSONIsNotKept checks that a list of packages, which a builder adds to an image,
// is no obstacle.
func TestLargeJSONIsNotKept(t *testing.T) {
	f := demo(t)
	o := &ociImage{t: t}
	layers := f.tars(t)
	o.blob([]byte(`{"packages": "` + strings.Repeat("x", maxJSON) + `"}`))
	manifest := o.image(f.imageConfig(t, layers...), layers...)
	_, s, err := readAll(o.pack([]any{manifest}))
	if testenv.Must(t, err); maxHeld-s.held > maxJSON {
		t.Errorf("%d bytes are held", maxHeld-s.held)
	}
}

// TestEntryCost checks that the memory of an entry is not more than is counted for it.
func TestEntryCost(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	for name, kind := range map[string]byte{"folder": tar.TypeDir, "file": tar.TypeReg, "link": tar.TypeSymlink} {
		t.Run(name, func(t *testing.T) {
			const n = 50000
			var all []*tar.Header
			for i := range n {
				all = append(all, &tar.Header{Name: fmt.Sprintf("d%d/e%06d", i%100, i), Mode: 0o755, Typeflag: kind, Linkname: map[byte]string{tar.TypeSymlink: "x"}[kind]})
			}
			data := makeArchive(t, headers(t, all...))
			all = nil
			before := heap()
			im, s, err := readAll(data)
			testenv.Must(t, err)
			cost := (heap() - before) / n
			runtime.KeepAlive(data)
			runtime.KeepAlive(s)
			if im.entries < n || cost > entryCost {
				t.Errorf("%d bytes an entry, and %d are counted", cost, entryCost)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDirectoryIsReadInParts checks that the names of one directory count before they are
// all in memory.
func TestDirectoryIsReadInParts(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		testenv.Must(t, os.WriteFile(fmt.Sprintf("%s/%d", dir, i), nil, 0o600))
	}
	for entries, want := range map[int]error{299: errLimit, 300: nil} {
		s := newLayerScan(nil, known(t))
		s.budget.entries = entries
		im, err := Root(dir).read(context.Background(), s)
		if !errors.Is(err, want) {
			t.Errorf("%d: got %v", entries, err)
		}
		if want == nil && im.tree.at("/299").kind != fsafe.Regular {
			t.Error("an entry is missing")
		}
	}
}
