//go:build linux

package beside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeptDigests: the digest of a helper is kept while the file is what it was, and never for another.
func TestKeptDigests(t *testing.T) {
	dir := t.TempDir()
	file, cache := filepath.Join(dir, "fabgo"), filepath.Join(dir, "cache")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b := &Binaries{Self: file, Cache: cache}
	digest := func() string {
		t.Helper()
		x, err := b.read(file)
		if err != nil {
			t.Fatal(err)
		}
		return x.digest
	}
	// keep makes an entry that gives itself away, for the file as it is now.
	const told = "11111111111111111111111111111111" + "22222222222222222222222222222222"
	keep := func(content string) {
		t.Helper()
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		mark, _ := stamp(info, time.Now())
		replace((&binary{file: file, cache: cache}).digestFile(), []byte(strings.ReplaceAll(content, "MARK", mark)))
	}
	write("one")
	one := digest()
	if kept, _ := filepath.Glob(filepath.Join(cache, "*")); len(kept) != 0 {
		t.Errorf("the digest of a file that was just written was kept: %q", kept)
	}
	keep("MARK\n" + told + "\n")
	if got := digest(); got != one {
		t.Errorf("a fresh file has the digest %s that was kept", got)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, settled := stamp(info, time.Now().Add(time.Minute)); !settled {
		t.Error("a file of a minute ago is fresh")
	}

	file = "/bin/sh" // nobody has changed it a moment ago
	real := digest()
	if kept, _ := filepath.Glob(filepath.Join(cache, "*.digest")); len(kept) != 2 {
		t.Errorf("the cache holds %q", kept)
	}
	if keep("MARK\n" + told + "\n"); digest() != told {
		t.Error("the digest that was kept is not used")
	}
	for _, damaged := range []string{"", "MARK\n", "MARK\n" + told, "MARK\n" + told[1:] + "\n", "MARK\n" + told + "\n\n", "1" + "MARK\n" + told + "\n", "MARK0\n" + told + "\n"} {
		if keep(damaged); digest() != real {
			t.Errorf("what the cache says is believed: %q", damaged)
		}
	}
	keep("MARK\n" + told + "\n")
	x, err := b.read(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.pack(); err == nil || !strings.Contains(err.Error(), "run again") {
		t.Errorf("a helper goes out under a digest that is not its own: %v", err)
	}
	if digest() != real {
		t.Error("the wrong digest was not forgotten")
	}
}
