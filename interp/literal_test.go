package interp

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLiteralCalls(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"b.star": `load("lib.star", "f")
file.put("/a", content = "x")
file.put("/" + "b", content = ("y"))
file.put(path = "/c", content = {"k": 1, "l": 2})
file.put("/d", content = {"k": 1, f: 2})
args = {"path": "/e"}
file.put(**args)
file.put("/f", content = "z", **args)
def g(file):
    file.put("/not the builtin")
`,
		"lib.star": "def f():\n    file.put(\"/lib\")\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := newTest(t)
	b, err := in.Open(filepath.Join(dir, "b.star"))
	if err != nil {
		t.Fatal(err)
	}
	text := func(l Literal) string {
		s, _ := l.Text()
		return s
	}
	calls := b.LiteralCalls("file.put")
	if len(calls) != 7 {
		t.Fatalf("got %d calls: %+v", len(calls), calls)
	}
	if c := calls[0]; c.File != "//lib.star" || c.Pos.Line != 2 || text(c.Args["path"]) != "/lib" {
		t.Errorf("in the library: %+v", c)
	}
	if c := calls[1]; text(c.Args["path"]) != "/a" || text(c.Args["content"]) != "x" || c.Source != `file.put("/a", content = "x")` {
		t.Errorf("plain: %+v", c)
	}
	if c := calls[2]; c.Args["path"].Value != nil || text(c.Args["content"]) != "y" {
		t.Errorf("computed: %+v", c)
	}
	if c := calls[3]; text(c.Args["path"]) != "/c" || !slices.Equal(c.Args["content"].Keys, []string{"k", "l"}) {
		t.Errorf("dict: %+v", c)
	}
	if c := calls[4]; c.Args["content"].IsDict {
		t.Errorf("dict with a computed key: %+v", c)
	}
	if c := calls[5]; len(c.Args) != 0 || !c.More {
		t.Errorf("nothing but **args: %+v", c)
	}
	if c := calls[6]; text(c.Args["path"]) != "/f" || text(c.Args["content"]) != "z" || !c.More || calls[1].More {
		t.Errorf("with **args: %+v", c)
	}
}
