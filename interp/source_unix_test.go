//go:build unix

package interp

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipesAreNotRead: opening a pipe that nobody writes to would hang for ever.
func TestPipesAreNotRead(t *testing.T) {
	dir := writeTree(t, map[string]string{"web1.star": "load(\"pipe.star\", \"x\")\n"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.star"), 0o600); err != nil {
		t.Skip("the file system has no pipes:", err)
	}
	in := newTest(t)
	for _, name := range []string{"web1.star", "pipe.star"} {
		if _, err := in.Open(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := writeTree(t, map[string]string{"web1.star": ""})
	if err := os.Chmod(filepath.Join(dir, "web1.star"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := newTest(t).Open(filepath.Join(dir, "web1.star")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}
