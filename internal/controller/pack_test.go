package controller

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/transport"
)

func askFiles(t *testing.T, c *Controller, tree string, entries ...transport.SourceEntry) (transport.Content, error) {
	t.Helper()
	m := transport.Manifest(entries)
	d, err := transport.Do[transport.Data](t.Context(), c.Over(nil), transport.Ask{What: transport.AskFiles, Name: transport.Text(tree), Files: &m, Unseen: true})
	return d.Content, err
}

func entry(name, content string) transport.SourceEntry {
	return transport.SourceEntry{Path: transport.Text(name), Type: transport.Regular, Digest: transport.DigestOf([]byte(content)), Size: int64(len(content))}
}

func writeFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPack(t *testing.T) {
	c, root := newController(t)
	writeFiles(t, root, map[string]string{"tree/b": "two", "tree/a": "one", "tree/sub/c": "three", "tree/empty": ""})
	content, err := askFiles(t, c, "//tree", entry("b", "two"), entry("a", "one"), entry("sub/c", "three"), entry("empty", ""))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the second time the files are read again
		if b, err := content.ReadAll(1 << 20); err != nil || string(b) != "onetwothree" {
			t.Errorf("%q, %v", b, err)
		}
	}
	writeFiles(t, root, map[string]string{"tree/a": "eno"})
	if _, err := content.ReadAll(1 << 20); err == nil || !strings.Contains(err.Error(), "has changed since") {
		t.Errorf("a file that changed meanwhile: %v", err)
	}
	if b, err := askFiles(t, c, "//tree"); err != nil || b.Size != 0 {
		t.Errorf("no files: %v, %v", b, err)
	}
}

func TestPacksThatAreRefused(t *testing.T) {
	c, root := newController(t)
	writeFiles(t, root, map[string]string{"tree/a": "one", "outside": "out", ".git/config": "git"})
	if err := os.Symlink("../outside", filepath.Join(root, "tree/link")); err != nil {
		t.Fatal(err)
	}
	c.Spelled = Spelled{"tree"}
	folder := transport.SourceEntry{Path: "a", Type: transport.Dir}
	var many []transport.SourceEntry
	for i := range mostPacked/transport.MaxPacked + 1 {
		many = append(many, transport.SourceEntry{Path: transport.Text("f" + string(rune('A'+i))), Type: transport.Regular, Digest: transport.DigestOf(nil), Size: transport.MaxPacked})
	}
	for _, tt := range []struct {
		tree    string
		entries []transport.SourceEntry
		kind    transport.Kind
		want    string
	}{
		{"//tree", []transport.SourceEntry{entry("a", "two")}, transport.IO, "has changed since its folder was listed"},
		{"//tree", []transport.SourceEntry{entry("a", "on")}, transport.IO, "has changed since"},
		{"//tree", []transport.SourceEntry{entry("a", "ones")}, transport.IO, "has changed since"},
		{"//tree", []transport.SourceEntry{entry("none", "x")}, transport.NotFound, "no such file"},
		{"//nosuch", []transport.SourceEntry{entry("a", "one")}, transport.NotFound, "no such file"},
		{"//tree", []transport.SourceEntry{folder}, transport.Refused, "a pack is of files"},
		{"//tree", []transport.SourceEntry{entry("../outside", "out")}, transport.Refused, "no path below a folder"},
		{"//tree", many, transport.Refused, "a pack has at most"},
		{"//", []transport.SourceEntry{entry(".git/config", "git")}, transport.Refused, "the bundle does not name it"},
		{"//.git", []transport.SourceEntry{entry("config", "git")}, transport.Refused, "the bundle does not name it"},
		{"/etc", []transport.SourceEntry{entry("passwd", "x")}, transport.Refused, "the bundle does not name it"},
	} {
		_, err := askFiles(t, c, tt.tree, tt.entries...)
		if transport.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: kind %q: %v, want %q: %q", tt.tree, transport.KindOf(err), err, tt.kind, tt.want)
		}
	}
	if _, err := transport.Do[transport.Data](t.Context(), c.Over(nil), transport.Ask{What: transport.AskFiles, Name: "//tree"}); transport.KindOf(err) != transport.Refused {
		t.Errorf("without a manifest: %v", err)
	}
}
