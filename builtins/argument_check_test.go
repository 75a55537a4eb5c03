package builtins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/interp"
)

func TestCheckArguments(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.star"), []byte(`
v = 644
def main():
    file.put("/a", content = "x", mode = 644)
    file.put("etc/motd",
        content = "x",
        mode = "0999")
    file.put("/a", content = "x", mode = v, owner = None, backup = True)
    file.put("/a", content = "x", backup = "yes")
    run("true", timeout = "5 minutes")
    run("true", timeout = -1)
    run("true", timeout = 90.5)
    file.put(**{"mode": 644})
    if v: # a name of the bundle's own is not the builtin
        shadow()

def shadow(run = print):
    run(timeout = "5 minutes")
`), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := Interp(interp.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.Open(filepath.Join(dir, "b.star"))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ where, says, source string }{
		{"b.star:4:42: ", `file.put: mode: got the number 644: a mode is a string such as "0640"`, `mode = 644)`},
		{"b.star:5:14: ", `file.put: path: `, `file.put("etc/motd",`},
		{"b.star:7:16: ", `file.put: mode: `, `        mode = "0999")`},
		{"b.star:9:44: ", `file.put: backup: got string "yes", want True or False`, ``},
		{"b.star:10:27: ", `run: timeout: got string "5 minutes", want seconds`, ``},
		{"b.star:11:27: ", `run: timeout: got int -1`, ``},
	}
	got := CheckArguments(b)
	if len(got) != len(want) {
		t.Fatalf("%d problems:\n%v", len(got), got)
	}
	for i, w := range want {
		if p := got[i]; !strings.Contains(p.Error(), w.where+w.says) || !strings.HasSuffix(p.Source, w.source) {
			t.Errorf("got  %v\n     %s\nwant %s%s", p, p.Source, w.where, w.says)
		}
	}
}
