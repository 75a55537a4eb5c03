package controller

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"fabgo/transport"
)

// TestTreeWithOverrides: files of the override replace those of a tree, and the rest of the tree stays.
func TestTreeWithOverrides(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"site/a": "ours", "site/new/b": "ours", "site/becomes": "ours", "only/x": "ours"} {
		p := filepath.Join(root, "override", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	theirs := &fstest.MapFile{Data: []byte("theirs, longer")}
	var used []string
	c := &Controller{
		Root: root, Override: filepath.Join(root, "override"),
		Libraries:  map[string]fs.FS{"fab": fstest.MapFS{"site/a": theirs, "site/c": theirs, "site/becomes/d": theirs, "site/becomesnot/d": theirs}},
		Overridden: func(name, file string) { used = append(used, name+" "+filepath.Base(file)) },
	}
	tree := func(name string) string {
		t.Helper()
		text, err := ask(t, c, transport.AskTree, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		entries, err := transport.String(text).Entries()
		if err != nil {
			t.Fatal(err)
		}
		files := slices.DeleteFunc(slices.Clone(entries), func(e transport.SourceEntry) bool { return e.Type != transport.Regular })
		want := strings.Builder{}
		for _, e := range files {
			want.WriteString(map[bool]string{true: "ours", false: "theirs, longer"}[e.Size == int64(len("ours"))])
		}
		manifest := transport.Manifest(files)
		res, err := c.Over(nil).Do(t.Context(), transport.Ask{What: transport.AskFiles, Name: transport.Text(name), Files: &manifest})
		if err != nil {
			t.Fatalf("the pack of %s: %v", name, err)
		}
		if b, err := res.(transport.Data).Content.ReadAll(1 << 20); err != nil || string(b) != want.String() {
			t.Errorf("the pack of %s is %q, %v; want %q", name, b, err, want.String())
		}
		var got []string
		for _, e := range entries {
			line := string(e.Path) + " " + string(e.Type)
			if e.Type == transport.Regular && e.Size == int64(len("ours")) {
				line += " ours"
			}
			got = append(got, line)
		}
		return strings.Join(got, ",")
	}
	if got := tree("@fab//site"); got != "a file ours,becomes file ours,becomesnot dir,becomesnot/d file,c file,new dir,new/b file ours" {
		t.Errorf("%s", got)
	}
	slices.Sort(used)
	if got := strings.Join(used, ","); got != "@fab//site/a a,@fab//site/becomes becomes,@fab//site/new/b b" {
		t.Errorf("used: %s", got)
	}
	if got := tree("@fab//only"); got != "x file ours" {
		t.Errorf("a folder that only the override has: %s", got)
	}
	if _, err := ask(t, c, transport.AskTree, "@fab//none"); transport.KindOf(err) != transport.NotFound {
		t.Errorf("%v", err)
	}
	used = nil
	if got, err := ask(t, c, transport.AskFile, "@fab//site/a"); err != nil || got != "ours" || len(used) != 1 {
		t.Errorf("%q, %v, used %v", got, err, used)
	}
	if got, err := ask(t, c, transport.AskFile, "@fab//site/c"); err != nil || got != "theirs, longer" || len(used) != 1 {
		t.Errorf("%q, %v, used %v", got, err, used)
	}
	for name, want := range map[string]string{"@fab//site/a": "a", "//site/a": "a", "@fab//site/c": "", "/site/a": "", "//../override/site/a": "", "@fab//": "", "//site/./a": "a", "x": ""} {
		if got := c.Replacement(name); (got == "") != (want == "") || want != "" && filepath.Base(got) != want {
			t.Errorf("Replacement(%s) is %q", name, got)
		}
	}
}
