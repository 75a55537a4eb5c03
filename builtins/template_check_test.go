package builtins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/interp"
)

func TestCheckTemplates(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("t/good.j2", "{{ port }}{% include 'part.j2' %}")
	write("t/part.j2", "{{ name }}\n")
	write("t/syntax.j2", "ok\n{% if %}\n")
	write("b.star", `
v = {"port": 1}
def main():
    file.template("t/good.j2", "/a", vars = {"port": 1, "name": 2})
    file.template("t/good.j2", "/a", vars = {"prt": 1, "name": 2})
    file.template("t/good.j2", "/a", vars = v)
    file.template("t/good.j2", "/a")
    file.template("t/syntax.j2", "/a", vars = v)
    file.template("t/nosuch.j2", "/a")
    file.template("../x.j2", "/a")
    file.template(v["port"], "/a")
`)
	in, err := Interp(interp.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.Open(filepath.Join(dir, "b.star"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range CheckTemplates(b, func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(dir, strings.TrimPrefix(name, "//")))
	}) {
		at := ""
		if len(p.Chain) > 0 {
			at = filepath.Base(p.Chain[0].Position.String()) + ": "
		}
		got = append(got, at+strings.TrimPrefix(p.Error(), dir+"/"))
	}
	want := []string{
		"b.star:5:5: t/good.j2:1:4: undefined: port (did you mean prt?)",
		"b.star:7:5: t/good.j2:1:4: undefined: port",
		"b.star:7:5: t/part.j2:1:4: undefined: name",
		"b.star:8:5: t/syntax.j2:2:",
		"b.star:9:5: file.template: open ",
		`b.star:10:5: file.template: src: "../x.j2" leads out of the repository`,
	}
	if len(got) != len(want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}
