//go:build linux

package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"fabgo/transport"
	"fabgo/transport/local"
)

func TestLazySyncHoldsFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	h, err := local.New(local.Options{LazySync: true})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		p, err := transport.NewPath(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Do(t.Context(), transport.Write{Path: p, Content: transport.String(text)}); err != nil {
			t.Fatal(err)
		}
	}
	before := descriptors(t)
	write("few", "one")
	if n := descriptors(t) - before; n < 1 || n > 2 {
		t.Errorf("a new file holds %d descriptors until it is synced", n)
	}
	write("few", "another") // in place of the first: nothing is left for later
	for i := range 300 {
		write(fmt.Sprint("many-", i), "x")
	}
	if n := descriptors(t) - before; n > 64 {
		t.Errorf("300 new files hold %d descriptors", n)
	}
	if err := h.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are open behind Sync, %d before", n, before)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "few")); err != nil || string(b) != "another" {
		t.Errorf("%q, %v", b, err)
	}
	write("last", "y")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are open behind Close, %d before", n, before)
	}
}

// descriptors counts those that are open, and the folder that they are counted in, each time.
func descriptors(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}
