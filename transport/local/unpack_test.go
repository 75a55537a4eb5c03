//go:build linux || darwin || freebsd

package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"fabgo/transport"
)

// many is an Unpack of files in several folders, more than wait to be brought to the disk at once.
func many(dir string, text string) (o transport.Unpack, want map[string]string) {
	var entries []transport.SourceEntry
	var pack bytes.Buffer
	want = map[string]string{}
	for i := range 2*mostWaiting + 50 {
		name, content := fmt.Sprintf("%d/f%03d", i/200, i), fmt.Sprint(text, i)
		want[name] = content
		entries = append(entries, transport.SourceEntry{Path: transport.Text(name), Type: transport.Regular, Digest: transport.DigestOf([]byte(content)), Size: int64(len(content))})
		pack.WriteString(content)
	}
	return transport.Unpack{Path: transport.Path(dir), Files: transport.Manifest(entries), Pack: transport.Bytes(pack.Bytes())}, want
}

func TestUnpackMany(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		dir := t.TempDir()
		for i := range 3 {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h, err := New(Options{LazySync: lazy})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"new ", "newer "} { // the second time each replaces another
			o, want := many(dir, text)
			if _, err := h.Do(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			for name, content := range want {
				if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != content {
					t.Fatalf("lazy %v: %s holds %q, %v, want %q", lazy, name, b, err, content)
				}
			}
			if left := leftovers(t, dir); left != len(want) {
				t.Errorf("lazy %v: %d files are there, want %d", lazy, left, len(want))
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnpackThatFails: what was not written is as it was, and nothing else is left.
func TestUnpackThatFails(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 { // the folder of the last files is missing
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	o, want := many(dir, "x")
	for range 2 {
		if _, err := h.Do(t.Context(), o); transport.KindOf(err) != transport.NotFound {
			t.Errorf("%v", err)
		}
		for _, e := range []string{"0", "1"} {
			names, err := os.ReadDir(filepath.Join(dir, e))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				name := e + "/" + n.Name()
				if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || want[name] == "" || string(b) != want[name] {
					t.Errorf("%s holds %q, %v", name, b, err)
				}
			}
		}
	}
}

func leftovers(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
