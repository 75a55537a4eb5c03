package beside

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestDigestIsRemembered(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere helpers are read")
	}
	cache, file := filepath.Join(t.TempDir(), "cache"), filepath.Join(t.TempDir(), "helper")
	write := func(text string) os.FileInfo {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	digest := func() string {
		t.Helper()
		x, err := read(file, cache)
		if err != nil {
			t.Fatal(err)
		}
		return x.digest
	}
	first := write("one")
	before := digest()
	if _, ok := remembered(cache, file, first); ok {
		t.Error("a file that was changed a moment ago is remembered")
	}
	id, _ := identity(first)
	forged := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	keep := func(text string) {
		t.Helper()
		if err := os.WriteFile(memo(cache, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep(id + "\n" + forged)
	if got := digest(); got != forged {
		t.Errorf("what is remembered is not believed: %s", got)
	}
	if x, err := read(file, cache); err != nil {
		t.Fatal(err)
	} else if _, err := x.pack(); err == nil {
		t.Error("a helper is packed under a digest that is not its own")
	}
	if got := digest(); got != before {
		t.Errorf("what turned out not to be so is still remembered: %s", got)
	}
	for _, bad := range []string{"", id, id + "\n", id + "\nxyz", id + "\n" + forged + "0"} {
		keep(bad)
		if got := digest(); got != before {
			t.Errorf("%q is believed", bad)
		}
	}
	keep(id + "\n" + forged)
	write("two")
	if got := digest(); got == forged || got == before {
		t.Errorf("of a file that changed: %s", got)
	}
}

func TestDigestOfAFileThatIsLeftAlone(t *testing.T) {
	const file = "/bin/sh"
	st, err := os.Stat(file)
	if err != nil {
		t.Skip(err)
	}
	id, changed := identity(st)
	if id == "" || time.Since(changed) < settled {
		t.Skip("there is no file here that was left alone")
	}
	cache := filepath.Join(t.TempDir(), "cache")
	x, err := read(file, cache)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := remembered(cache, file, st); !ok || got != x.digest {
		t.Errorf("%q is remembered, want %q", got, x.digest)
	}
	if again, err := read(file, cache); err != nil || again.digest != x.digest || again.size != x.size {
		t.Errorf("%+v, %v, want %+v", again, err, x)
	}
}
