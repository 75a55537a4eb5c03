package builtins

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport/local"
)

func newLocal(t *testing.T) *stage {
	t.Helper()
	h, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newStage(t, h)
}

// cases holds sources to the laws, one after the other on the same host; D in them is a folder of the test.
type lawCase struct{ name, source string }

func (s *stage) laws(dir string, cases []lawCase) {
	s.t.Helper()
	for _, c := range cases {
		s.t.Run(c.name, func(t *testing.T) {
			stage := *s
			stage.t = t
			stage.law(strings.ReplaceAll(c.source, "D/", dir+"/"), func() string { return tree(t, dir) })
		})
	}
}

// tree is the state of a folder of this machine, byte for byte.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", strings.TrimPrefix(p, dir), info.Mode())
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q %s", content, info.ModTime())
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %q", target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFileLaws(t *testing.T) {
	s := newLocal(t)
	s.write("motd.txt", "from a file\n")
	s.write("t/site.j2", "listen {{ port }}\n{% include 'part.j2' %}")
	s.write("t/part.j2", "{% for n in names %}name {{ n }}\n{% endfor %}")
	d := t.TempDir()
	if err := os.WriteFile(d+"/link-target", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.laws(d, []lawCase{
		{"put", `file.put("D/motd", content = "hello\n", mode = "0640")`},
		{"put other content", `file.put("D/motd", content = "hallo\n")`},
		{"put mode", `file.put("D/motd", content = "hallo\n", mode = "0600")`},
		{"put src", `file.put("D/motd", src = "motd.txt")`},
		{"put empty", `file.put("D/empty", content = "")`},
		{"put odd name", `file.put("D/-n\n'\"$x *", content = "odd")`},
		{"put parents", `file.put("D/a/b/c/file", content = "deep", parents = True)`},
		{"put force over a link", `file.link("D/l0", target = "link-target")
file.put("D/l0x", content = "x")`},
		{"put follow", `file.link("D/follow", target = "link-target")
file.put("D/follow", content = "through", follow = True)`},
		{"put validate", `file.put("D/valid", content = "ok\n", validate = "grep -q ok %s")`},
		{"put backup", `file.put("D/motd", content = "newer\n", backup = True)`},
		{"put sensitive", `file.put("D/secret", content = "hush hush", mode = "0600", sensitive = True)`},
		{"template", `file.template("t/site.j2", "D/site", vars = {"port": 80, "names": ["a", "b"]})`},
		{"dir", `file.dir("D/dir")`},
		{"dir with parents", `file.dir("D/x/y/z", mode = "0700")`},
		{"dir mode", `file.dir("D/dir", mode = "2770")`},
		{"dir recursive", `file.put("D/dir/f1", content = "1")
file.dir("D/dir/sub")
file.put("D/dir/sub/f2", content = "2")
file.link("D/dir/sub/l", target = "/etc")
file.dir("D/dir", mode = "0750", file_mode = "0640", recursive = True)`},
		{"link", `file.link("D/link", target = "nowhere")`},
		{"link retarget", `file.link("D/link", target = "/elsewhere")`},
		{"link force", `file.link("D/motd", target = "link-target", force = True)`},
		{"hard link", `file.link("D/hard", target = "D/link-target", hard = True)`},
		{"absent file", `file.absent("D/site")`},
		{"absent link", `file.absent("D/link")`},
		{"absent folder", `file.dir("D/void1")
file.absent("D/x", recursive = True)`},
		{"absent and back", `file.absent("D/dir", recursive = True)
file.dir("D/dir2/again")`},
	})
}

func TestFileFailures(t *testing.T) {
	s := newLocal(t)
	d := t.TempDir()
	s.write("t/bad.j2", "line one\n  {{ nme }}\n")
	s.write("t/missing.j2", "{{ d.key }}")
	s.write("big.txt", "x")
	for _, f := range []string{"file", "full/inside"} {
		if err := os.MkdirAll(filepath.Dir(d+"/"+f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d+"/"+f, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range [][2]string{{"file", "link"}, {"/dev/null", "masked"}} {
		if err := os.Symlink(l[0], d+"/"+l[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		source  string
		verdict journal.Verdict
		want    string
	}{
		{`file.put("D/no/such/folder", content = "")`, journal.Broken, `there is no folder D/no/such`},
		{`file.put("D/no/such/folder", content = "")`, journal.Broken, `file.dir("D/no/such")`},
		{`file.put("D/full", content = "")`, journal.Broken, "there is a folder in its place"},
		{`file.put("D/link", content = "")`, journal.Broken, "follow = True"},
		{`file.put("D/masked", content = "")`, journal.Broken, "service.unmasked"},
		{`file.dir("D/file")`, journal.Broken, "there is a file in its place"},
		{`file.link("D/file", target = "x")`, journal.Broken, "there is a file in its place"},
		{`file.absent("D/full")`, journal.Broken, "recursive = True"},
		{`file.absent("/", recursive = True)`, journal.Invalid, "/ is not removed"},
		{`file.put("relative", content = "")`, journal.Invalid, `path "relative" is not absolute`},
		{`file.put("D/f", content = "", mode = 640)`, journal.Invalid, `a mode is a string such as "0640"`},
		{`file.put("D/f", content = "", mode = "rw")`, journal.Invalid, `mode "rw" is not`},
		{`file.put("D/f", content = 3)`, journal.Invalid, "content: got int 3, want a string"},
		{`file.put("D/f")`, journal.Invalid, "give content or src"},
		{`file.put("D/f", content = "a", src = "b")`, journal.Invalid, "give content or src"},
		{`file.put("D/f", content = "", owner = "a:b")`, journal.Invalid, "owner: got string"},
		{`file.put("D/f", content = "", validate = "true")`, journal.Invalid, "does not hold %s"},
		{`file.put("D/f", src = "nosuch")`, journal.Invalid, "read //nosuch: there is no such file"},
		{`file.put("D/f", src = "../../etc/passwd")`, journal.Invalid, "leads out of the repository"},
		{`file.template("t/bad.j2", "D/f", vars = {"name": 1})`, journal.Invalid, "t/bad.j2:2:6: undefined: nme (did you mean name?)"},
		{`file.template("t/bad.j2", "D/f", vars = {"name": 1})`, journal.Invalid, "the line is: {{ nme }}"},
		{`file.template("t/missing.j2", "D/f", vars = {"d": {}})`, journal.Invalid, "t/missing.j2:1:"},
		{`file.template("t/bad.j2", "D/f", vars = ["nme"])`, journal.Invalid, "vars: got list"},
		{`file.dir("D/d", recursive = True)`, journal.Invalid, "needs owner, group, mode or file_mode"},
		{`file.dir("D/d", file_mode = "0600")`, journal.Invalid, "give recursive = True too"},
		{`file.link("D/l", target = "")`, journal.Invalid, "is no path"},
		{`file.link("D/l", target = "x", hard = True)`, journal.Invalid, "is not absolute"},
		{`file.read("D/nosuch")`, journal.Broken, "nosuch"},
		{`file.contains("D/file")`, journal.Invalid, "give text or match"},
		{`file.contains("D/file", match = "(")`, journal.Invalid, "error parsing regexp"},
		{`file.glob("D/[")`, journal.Invalid, "syntax error in pattern"},
	} {
		source := strings.ReplaceAll(c.source, "D/", d+"/")
		want := strings.ReplaceAll(c.want, "D/", d+"/")
		before := tree(t, d)
		s.plan(source).fails(c.verdict, want)
		s.run(source).fails(c.verdict, want)
		if after := tree(t, d); after != before {
			t.Errorf("%s changed something:\n%s\n%s", c.source, before, after)
		}
	}
	p := s.run(strings.ReplaceAll(`file.put("D/file", content = "bad", validate = ["sh", "-c", "echo no good >&2; exit 3", "%s"])`, "D/", d+"/")).fails(journal.Broken, "no good")
	if !strings.Contains(p.finish.Error.Hint, "is as it was") || p.finish.Error.Code != 3 {
		t.Errorf("the error is %+v", p.finish.Error)
	}
	if b, _ := os.ReadFile(d + "/file"); string(b) != "old" {
		t.Errorf("a refused content was written: %q", b)
	}
}

func TestFileLooks(t *testing.T) {
	s := newLocal(t)
	d := t.TempDir()
	source := strings.ReplaceAll(`
file.dir("D/dir", mode = "0750")
file.put("D/dir/one.conf", content = "a = 1\nb = 2\n", mode = "0640")
file.put("D/dir/two.conf", content = "c")
file.put("D/dir/.hidden.conf", content = "")
file.link("D/dangling", target = "nowhere")
note(str([file.exists("D/dir"), file.exists("D/nosuch"), file.exists("D/dangling"), file.exists("D/dangling", follow = False)]))
st = file.stat("D/dir/one.conf", digest = True)
note(str([st.type, st.mode, st.size, st.digest[:14], st.target]))
note(str(file.stat("D/nosuch")))
note(str(file.stat("D/dangling").target))
note(str(file.read("D/dir/one.conf")))
note(file.read("D/nosuch", default = "none"))
note(str([p[len("D/"):] for p in file.glob("D/*/*.conf")]))
note(str(file.glob("D/x*/y")))
note(str([file.contains("D/dir/one.conf", "b = 2"), file.contains("D/dir/one.conf", match = "^b"), file.contains("D/dir/one.conf", match = "^ b"), file.contains("D/nosuch", "x")]))
`, "D/", d+"/")
	want := strings.Join([]string{
		"[True, False, False, True]",
		`["file", "0640", 12, "sha256:` + "cf2c10e"[:7] + `", None]`,
		"None", "nowhere", "a = 1\nb = 2\n", "none",
		`["dir/one.conf", "dir/two.conf"]`, "[]",
		"[True, True, False, False]",
	}, "\n")
	plan := s.plan(source).ok().notes()
	run := s.run(source).ok().notes()
	if plan != run {
		t.Errorf("the plan saw\n%s\nthe run\n%s", plan, run)
	}
	digest := regexp.MustCompile(`sha256:[0-9a-f]{7}`)
	if got := digest.ReplaceAllString(run, "sha256:cf2c10e"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSensitiveIsNotShown(t *testing.T) {
	s := newLocal(t)
	d := t.TempDir()
	for _, content := range []string{"old hush hush", "new hush hush"} {
		p := s.run(`file.put("` + d + `/s", content = "` + content + `".replace("+", ""), sensitive = True)`).ok()
		for _, e := range p.ends() {
			if strings.Contains(differences(e.Diff), "hush") {
				t.Errorf("the diff shows it: %s", differences(e.Diff))
			}
		}
		for _, r := range p.records {
			if o, ok := r.Body.(journal.Outcome); ok && strings.Contains(string(o.Op), `"kind":"read"`) {
				t.Errorf("it was read into the journal: %s", o.Op)
			}
		}
	}
}

func TestPut(t *testing.T) {
	s := newLocal(t)
	d := t.TempDir()
	s.law(`file.put("`+d+`/motd", content = "hello\n", mode = "0640")`, nil)
	b, err := os.ReadFile(d + "/motd")
	if err != nil || string(b) != "hello\n" {
		t.Fatalf("got %q, %v", b, err)
	}
}
