package builtins

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
)

func TestSyncLaws(t *testing.T) {
	s := newLocal(t)
	for name, text := range map[string]string{
		"site/index.html": "<p>hi\n", "site/deep/er/x": "x", "site/empty.txt": "", "site/twin": "x", "site/app.conf.j2": "port {{ port }}\n",
		"site/.git/HEAD": "no", "site/a.swp": "no", "site/build/out": "no", "site/deep/build": "yes", "site/tool": "#!/bin/sh\n",
	} {
		s.write(name, text)
	}
	for _, err := range []error{os.Mkdir(s.dir+"/site/hollow", 0o755), os.Symlink("index.html", s.dir+"/site/home"), os.Chmod(s.dir+"/site/tool", 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := t.TempDir()
	const exclude = `exclude = [".git", "*.swp", "/build/"]`
	s.laws(d, []lawCase{
		{"plain", `file.sync("site", "D/www/site", ` + exclude + `)`},
		{"modes", `file.sync("site", "D/www/site", mode = "0640", dir_mode = "0750", ` + exclude + `)`},
		{"templates", `file.sync("site", "D/t", vars = {"port": 80}, ` + exclude + `)`},
		{"everything", `file.sync("site", "D/all", sensitive = True)`},
	})
	for name, want := range map[string]string{"www/site/app.conf.j2": "port {{ port }}\n", "t/app.conf": "port 80\n", "t/twin": "x", "t/deep/er/x": "x", "t/deep/build": "yes"} {
		if b, err := os.ReadFile(d + "/" + name); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v, want %q", name, b, err, want)
		}
	}
	for _, name := range []string{"t/.git", "t/a.swp", "t/build", "t/app.conf.j2"} {
		if _, err := os.Lstat(d + "/" + name); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if st, err := os.Stat(d + "/t/hollow"); err != nil || !st.IsDir() {
		t.Errorf("the empty folder: %v", err)
	}
	if target, err := os.Readlink(d + "/t/home"); err != nil || target != "index.html" {
		t.Errorf("the symlink: %q, %v", target, err)
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{"www/site/tool": 0o750, "www/site/index.html": 0o640, "t/tool": 0o755, "t/index.html": 0o644} {
			if st, err := os.Stat(d + "/" + name); err != nil || st.Mode() != want {
				t.Errorf("%s: %v, %v, want %v", name, st.Mode(), err, want)
			}
		}
	}
	// A file of the host that nobody named keeps its mode; only the execution bits follow.
	if err := os.Chmod(d+"/t/index.html", 0o700); err != nil {
		t.Fatal(err)
	}
	s.laws(d, []lawCase{{"execution bits", `file.sync("site", "D/t", vars = {"port": 80}, ` + exclude + `)`}})
	if st, _ := os.Stat(d + "/t/index.html"); st.Mode() != 0o600 {
		t.Errorf("the mode is %v", st.Mode())
	}
}

func TestSyncDelete(t *testing.T) {
	s := newLocal(t)
	s.write("site/a", "a")
	s.write("site/sub/b", "b")
	d := t.TempDir()
	for _, name := range []string{"old", "oldsub/x/y", "sub/old", "keep/data/z", "keep/gone", "up.log", "sub-1/x"} {
		p := d + "/w/" + name
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", d+"/w/etc"); err != nil {
		t.Fatal(err)
	}
	s.laws(d, []lawCase{{"delete", `file.sync("site", "D/w", delete = True, exclude = ["*.log", "keep/data"])`}})
	var got []string
	err := filepath.WalkDir(d+"/w", func(p string, e os.DirEntry, err error) error {
		got = append(got, strings.TrimPrefix(p, d+"/w"))
		return err
	})
	if want := "[ /a /keep /keep/data /keep/data/z /sub /sub/b /up.log]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("left %v, %v, want %s", got, err, want)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error(err)
	}
}

func TestSyncFailures(t *testing.T) {
	s := newLocal(t)
	s.write("site/a.j2", "{{ x }}")
	s.write("site/a", "")
	s.write("folder/sub/x", "")
	d := t.TempDir()
	if err := os.WriteFile(d+"/sub", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source  string
		verdict journal.Verdict
		want    string
	}{
		{`file.sync("nosuch", "D/x")`, journal.Invalid, "there is no such file"},
		{`file.sync("site/a", "D/x")`, journal.Invalid, "not a folder"},
		{`file.sync("site", "D/x", vars = {"x": 1})`, journal.Invalid, "would be the same file"},
		{`file.sync("site", "D/x", vars = {"y": 1}, exclude = ["a"])`, journal.Invalid, "site/a.j2:1:4: undefined: x"},
		{`file.sync("site", "D/x", vars = 1)`, journal.Invalid, "vars: got int"},
		{`file.sync("site", "D/x", exclude = ["["])`, journal.Invalid, "[ without ]"},
		{`file.sync("site", "D/x", exclude = ["/"])`, journal.Invalid, "pattern is empty"},
		{`file.sync("site", "/etc", delete = True)`, journal.Invalid, "name a folder further down"},
		{`file.sync("folder", "D/")`, journal.Broken, "there is a file in its place"},
		{`file.sync("site", "D/sub")`, journal.Broken, "sub"},
		{`file.sync("site", "D/no/sub", parents = False)`, journal.Broken, "/no"},
		{`file.sync("site", "D/x", mode = 420)`, journal.Invalid, "a mode is a string"},
	} {
		source := strings.ReplaceAll(c.source, "D/", d+"/")
		before := tree(t, d)
		s.plan(source).fails(c.verdict, c.want)
		s.run(source).fails(c.verdict, c.want)
		if tree(t, d) != before {
			t.Errorf("%s changed something", c.source)
		}
	}
}

// TestSyncOfManyFiles: what is asked does not grow with the number of files.
func TestSyncOfManyFiles(t *testing.T) {
	s := newLocal(t)
	const files = 5000
	for i := range files {
		s.write(fmt.Sprintf("many/%02d/%d", i%50, i), fmt.Sprint(i))
	}
	d := t.TempDir()
	source := `file.sync("many", "` + d + `/many")`
	s.run(source).ok()
	for name, p := range map[string]*performance{"plan": s.plan(source).ok(), "run": s.run(source).ok()} {
		ops := 0
		for _, r := range p.records {
			if _, ok := r.Body.(journal.Outcome); ok {
				ops++
			}
		}
		if got := p.changedResources(); len(got) > 0 || ops > 10 {
			t.Errorf("%s: changed %q with %d ops", name, got, ops)
		}
	}
}

// TestSyncBesideOtherFiles: a destination that holds much that is not ours is not read whole.
func TestSyncBesideOtherFiles(t *testing.T) {
	s := newLocal(t)
	s.write("one/f", "f")
	d := t.TempDir()
	for i := range 200 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", d, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.law(`file.sync("one", "`+d+`")`, func() string { return tree(t, d) })
	lists := 0
	for _, r := range s.plan(`file.sync("one", "` + d + `")`).ok().records {
		o, ok := r.Body.(journal.Outcome)
		if !ok || !strings.Contains(string(o.Op), `"kind":"list"`) {
			continue
		}
		lists++
		res, err := transport.DecodeResult(transport.List{}, o.Result)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range res.(transport.Listing).Entries {
			if e.Digest != "" {
				t.Errorf("%s was read, which is none of ours", e.Path)
			}
		}
	}
	if lists != 1 {
		t.Errorf("the destination was listed %d times", lists)
	}
}

func TestExclusions(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		dir, want     bool
	}{
		{"*.pyc", "a/b/c.pyc", false, true}, {"*.pyc", "c.pyd", false, false}, {".git", ".git/HEAD", false, true}, {"x/", "x", false, false},
		{"x/", "x", true, true}, {"x/", "a/x/y", false, true}, {"/x", "x", false, true}, {"/x", "a/x", false, false}, {"a/*", "a/b", false, true},
		{"a/*", "a/b/c", false, true}, {"a/**/z", "a/z", false, true}, {"a/**/z", "a/b/c/z", false, true}, {"a/**", "a", true, false},
		{"[!a]b", "ab", false, false}, {"[!a]b", "cb", false, true}, {"[a-c]", "b", false, true}, {`\*`, "*", false, true}, {`\*`, "x", false, false},
		{"a?c", "a/c", false, false}, {"**", "a\nb", false, true}, {"[]]", "]", false, true}, {"a.c", "abc", false, false},
	} {
		e, err := exclusionOf(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&syncTree{excluded: []exclusion{e}}).isExcluded(c.path, c.dir); got != c.want {
			t.Errorf("%q of %q (folder %v): %v", c.pattern, c.path, c.dir, got)
		}
	}
}

func FuzzGlobPattern(f *testing.F) {
	for _, s := range []string{"*", "a/**/b", "[!a-z]", `[\]`, "[z-a]", "[[:alpha:]]", "[^]]", "\xff*"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, glob, path string) {
		re, err := globPattern(glob)
		if err == nil {
			re.MatchString(path)
		}
	})
}

func TestFetch(t *testing.T) {
	s := newLocal(t)
	d := t.TempDir()
	big := strings.Repeat("0123456789abcdef", (transport.ReadLimit+100)/16)
	for name, text := range map[string]string{"small": "text\n", "big": big, "empty": ""} {
		if err := os.WriteFile(d+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	s.deliver = func(name string, c transport.Content) error {
		r, err := c.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		got[name] = string(b)
		return err
	}
	source := strings.ReplaceAll(`
a = file.fetch("D/small", "in")
note("%s %s" % (a.dest, a.size))
file.fetch("D/big", "in/", flat = True)
file.fetch("D/empty", "in/other", flat = True, sensitive = True)
note(str(file.fetch("D/nosuch", "in", required = False)))
`, "D/", d+"/")
	s.plan(source).ok()
	if len(got) > 0 {
		t.Errorf("the plan delivered %d files", len(got))
	}
	p := s.run(source).ok()
	if want := "//in/web1" + d + "/small 5\nNone"; p.notes() != want {
		t.Errorf("notes %q, want %q", p.notes(), want)
	}
	if got["//in/web1"+d+"/small"] != "text\n" || got["//in/big"] != big || len(got) != 3 {
		t.Errorf("delivered %d files: %.100q", len(got), fmt.Sprint(got))
	}
	if text, ok := got["//in/other"]; !ok || text != "" {
		t.Error("the empty file is missing")
	}
	for want, source := range map[string]string{
		"there is no such file": `file.fetch("D/nosuch", "in")`, "it is a dir": `file.fetch("D/", "in")`, "kept out of the journal": `file.fetch("D/big", "in", sensitive = True)`,
	} {
		s.run(strings.ReplaceAll(source, "D/", d+"/")).fails(journal.Broken, want)
	}
	for options, kept := range map[string]bool{"": true, ", sensitive = True": false} {
		p := s.run(strings.ReplaceAll(`file.fetch("D/small", "in"`+options+`)`, "D/", d+"/")).ok()
		if _, got := p.kept[transport.DigestOf([]byte("text\n"))]; got != kept {
			t.Errorf("fetch%s: whether the journal has the content is %t", options, got)
		}
	}
	t.Run("changed between look and read", func(t *testing.T) {
		below := s.host
		defer func() { s.host = below }()
		secret := transport.String("a new secret\n")
		s.host = transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
			if op, ok := op.(transport.Read); ok && op.Path.Base() == "small" {
				return transport.Data{Content: secret}, nil
			}
			return below.Do(ctx, op)
		})
		deliver := s.deliver
		defer func() { s.deliver = deliver }()
		s.deliver = func(_ string, c transport.Content) error { // as the real one: all is read, then its digest is checked
			r, err := c.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return err
		}
		p := s.run(strings.ReplaceAll(`file.fetch("D/small", "in", sensitive = True)`, "D/", d+"/"))
		if _, got := p.kept[secret.Digest]; got {
			t.Error("the journal has the content that came after the look")
		}
		p = s.run(strings.ReplaceAll(`file.fetch("D/small", "in")`, "D/", d+"/"))
		if _, got := p.kept[secret.Digest]; !got {
			t.Error("what is no secret in a later step is not kept")
		}
	})
	s.run(`file.fetch("/x", "../../out")`).fails(journal.Invalid, "leads out of")
	s.deliver = nil
	s.run(strings.ReplaceAll(`file.fetch("D/small", "in")`, "D/", d+"/")).fails(journal.Broken, "no way to write on the controller")
	s.deliver = func(string, transport.Content) error { return context.DeadlineExceeded }
	s.run(strings.ReplaceAll(`file.fetch("D/small", "in")`, "D/", d+"/")).fails(journal.Broken, "deadline")
}

// TestSyncInPacks: many small files cost a few ops, and their bytes do not get into the journal.
func TestSyncInPacks(t *testing.T) {
	s := newLocal(t)
	const files = 300
	for i := range files {
		s.write(fmt.Sprintf("many/%02d/%03d", i%10, i), fmt.Sprint("content ", i))
	}
	s.write("many/run.sh", "#!/bin/sh\n")
	if err := os.Chmod(s.dir+"/many/run.sh", 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("many/big", strings.Repeat("x", packable+1))
	s.write("many/new.conf.j2", "{{ x }}")
	d := t.TempDir()
	source := `file.sync("many", "` + d + `/many", vars = {"x": "rendered"}, delete = True)`
	p := s.run(source).ok()
	counts := map[string]int{}
	for _, r := range p.records {
		if o, ok := r.Body.(journal.Outcome); ok {
			op, err := transport.DecodeOp(o.Op)
			if err != nil {
				t.Fatal(err)
			}
			counts[op.Kind()]++
		}
	}
	if counts["unpack"] != 1 || counts["write"] != 2 {
		t.Errorf("ops: %v", counts)
	}
	full, short := 0, 0
	for _, r := range p.records {
		if e, ok := r.Body.(journal.End); ok {
			for _, x := range e.Diff {
				switch {
				case x.Text != "":
					full++
				case x.Attr == "" && x.To == "file":
					short++
				}
			}
		}
	}
	if full < 50 || full > 100 || short != files+3 {
		t.Errorf("%d files are shown, %d are named", full, short)
	}
	for name, want := range map[string]string{"new.conf": "rendered", "00/000": "content 0", "09/299": "content 299", "run.sh": "#!/bin/sh\n"} {
		if b, err := os.ReadFile(d + "/many/" + name); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if st, err := os.Stat(d + "/many/run.sh"); err != nil || st.Mode() != 0o755 {
		t.Errorf("run.sh: %v, %v", st.Mode(), err)
	}
	for i := range 40 { // old files, and what goes and comes in their places
		s.write(fmt.Sprintf("many/%02d/%03d", i%10, i), fmt.Sprint("newer ", i))
		s.write(fmt.Sprintf("many/fresh/%03d", i), fmt.Sprint("fresh ", i))
		if err := os.WriteFile(fmt.Sprintf("%s/many/extra%d", d, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(d+"/many/00/000", 0o600); err != nil {
		t.Fatal(err)
	}
	s.law(source, func() string { return tree(t, d) })
	if st, err := os.Stat(d + "/many/00/000"); err != nil || st.Mode() != 0o600 {
		t.Errorf("a mode that was not said: %v, %v", st.Mode(), err)
	}
	if tree(t, d+"/many") == "" || strings.Contains(tree(t, d), "extra") {
		t.Error("what is not in the source is still there")
	}
}
