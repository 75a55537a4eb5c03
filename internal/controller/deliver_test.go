package controller

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fabgo/transport"
)

func TestDeliver(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	c := &Controller{Root: root, AbsolutePaths: true}
	for _, step := range []struct{ name, content, file string }{
		{"//fetched/web1/etc/motd", "one", root + "/fetched/web1/etc/motd"},
		{"//fetched/web1/etc/motd", "two", root + "/fetched/web1/etc/motd"},
		{"//top", "", root + "/top"},
		{"//a/../b", "clean", root + "/b"},
		{outside + "/new/folder/file", "absolute", outside + "/new/folder/file"},
	} {
		if err := c.Deliver(step.name, transport.String(step.content)); err != nil {
			t.Errorf("%s: %v", step.name, err)
			continue
		}
		b, err := os.ReadFile(step.file)
		if err != nil || string(b) != step.content {
			t.Errorf("%s holds %q, %v; want %q", step.file, b, err, step.content)
		}
	}
	noTemporaries(t, root)
	noTemporaries(t, outside)
}

// A file that holds the content already is left, though it is read from the host again, and one that does not keeps its mode.
func TestDeliverAgain(t *testing.T) {
	c := &Controller{Root: t.TempDir()}
	file := c.Root + "/f"
	content := transport.String("same")
	if err := c.Deliver("//f", content); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && before.Mode() != 0o600 {
		t.Errorf("a new file has mode %v", before.Mode())
	}
	from := strings.NewReader("same")
	again := transport.Source(content.Digest, content.Size, func() (io.ReadCloser, error) { return io.NopCloser(from), nil })
	if err := c.Deliver("//f", again); err != nil || from.Len() > 0 {
		t.Errorf("%d bytes were not read, %v", from.Len(), err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("the same content was written again, %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := c.Deliver("//f", transport.String("else")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != 0o640 {
		t.Errorf("the mode became %v, %v", st.Mode(), err)
	}
}

func TestDeliverFailures(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Skipf("symlinks cannot be made here: %v", err)
		}
	}
	link(outside, "out")
	link(filepath.Join(outside, "victim"), "victim")
	if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Controller{Root: root}
	good := transport.String("new")
	short := transport.Source(good.Digest, good.Size, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("ne")), nil })
	changed := transport.Source(good.Digest, good.Size, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("nev")), nil })
	broken := transport.Source(good.Digest, good.Size, func() (io.ReadCloser, error) {
		return nil, &transport.Error{Kind: transport.Unreachable, Message: "the connection broke"}
	})
	for _, bad := range []struct {
		name    string
		content transport.Content
		kind    transport.Kind
		want    string
	}{
		{"//../escape", good, transport.Refused, "no name of a file"},
		{"//a/../../escape", good, transport.Refused, "no name of a file"},
		{"//", good, transport.Refused, "no name of a file"},
		{"//.", good, transport.Refused, "no name of a file"},
		{"///etc/motd", good, transport.Refused, "no name of a file"},
		{"relative", good, transport.Refused, "not libraries"},
		{"@fab//postgresql.star", good, transport.Refused, "not libraries"},
		{filepath.ToSlash(outside) + "/file", good, transport.Refused, ""},
		{"//out/file", good, transport.IO, "escapes"},
		{"//victim", good, transport.Refused, "no regular file"},
		{"//folder", good, transport.Refused, "a folder"},
		{"//file/below", good, transport.IO, ""},
		{"//file", short, transport.IO, "changed while it was read"},
		{"//file", changed, transport.IO, "changed while it was read"},
		{"//file", broken, transport.Unreachable, "the connection broke"},
	} {
		err := c.Deliver(bad.name, bad.content)
		if err == nil || transport.KindOf(err) != bad.kind || !strings.Contains(err.Error(), bad.want) || !strings.Contains(err.Error(), "write "+bad.name) {
			t.Errorf("%s: got %v (%s), want %s with %q", bad.name, err, transport.KindOf(err), bad.kind, bad.want)
		}
	}
	for file, want := range map[string]string{root + "/file": "old", outside + "/victim": "untouched"} {
		if b, err := os.ReadFile(file); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", file, b, err)
		}
	}
	noTemporaries(t, root)
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("something was written outside: %v", left)
	}
}

func noTemporaries(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), ".fabgo-") {
			t.Errorf("%s was left behind", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
