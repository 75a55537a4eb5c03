package beside

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestPackedHelpersAreKept(t *testing.T) {
	dir := t.TempDir()
	self, cache := filepath.Join(dir, "fabgo"), filepath.Join(dir, "cache", "packed")
	if err := os.WriteFile(self, bytes.Repeat([]byte("helper "), 10000), 0o700); err != nil {
		t.Fatal(err)
	}
	pack := func() []byte {
		t.Helper()
		own, err := (&Binaries{Self: self, Cache: cache}).own()
		if err != nil {
			t.Fatal(err)
		}
		b, err := own.pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := pack()
	kept, err := filepath.Glob(filepath.Join(cache, "*.gz"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("the cache holds %q, %v", kept, err)
	}
	before, err := os.Stat(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pack(), first) {
		t.Error("the second time it is packed otherwise")
	}
	if after, err := os.Stat(kept[0]); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was compressed again, or %v", err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"cut short": func(b []byte) []byte { return b[:len(b)-1] },
		"changed":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"empty":     func([]byte) []byte { return nil },
	} {
		b, err := os.ReadFile(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(kept[0], damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pack(), first) {
			t.Errorf("%s: a damaged file of the cache is taken", name)
		}
	}
}

func TestPackedHelpersAreSwept(t *testing.T) {
	dir := t.TempDir()
	self, cache := filepath.Join(dir, "fabgo"), filepath.Join(dir, "packed")
	for i := range mostKept + 3 {
		if err := os.WriteFile(self, bytes.Repeat([]byte{byte(i)}, 100), 0o700); err != nil {
			t.Fatal(err)
		}
		own, err := (&Binaries{Self: self, Cache: cache}).own()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := own.pack(); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(cache, "*.gz")); err != nil || len(kept) != mostKept {
		t.Errorf("the cache holds %d files, not %d (%v)", len(kept), mostKept, err)
	}
}
