package builtins

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"fabgo/internal/journal"
)

// editTable are files before and after; "" in before is an empty file, "-" none.
var editTable = []struct{ name, call, before, after string }{
	{"line at the end", `line("F", line = "new")`, "a\nb\n", "a\nb\nnew\n"},
	{"line behind no newline", `line("F", line = "new")`, "a\nb", "a\nb\nnew\n"},
	{"line of a CRLF file", `line("F", line = "new")`, "a\r\nb\r\n", "a\r\nb\r\nnew\r\n"},
	{"line of a CRLF file without the last", `line("F", line = "new")`, "a\r\nb", "a\r\nb\r\nnew\r\n"},
	{"line in an empty file", `line("F", line = "new")`, "", "new\n"},
	{"line created", `line("F", line = "new", create = True)`, "-", "new\n"},
	{"line that is empty", `line("F", line = "")`, "a\n", "a\n\n"},
	{"line of non-ASCII text", `line("F", line = "größe = 1")`, "a\n", "a\ngröße = 1\n"},
	{"line is there", `line("F", line = "b")`, "a\nb\nc", "a\nb\nc"},
	{"line is there in CRLF", `line("F", line = "b")`, "a\r\nb\r\n", "a\r\nb\r\n"},
	{"line is a part only", `line("F", line = "b")`, "abc\n", "abc\nb\n"},
	{"line behind half a line end", `line("F", line = "b")`, "a\r", "a\r\nb\r\n"},
	{"line is there with half a line end", `line("F", line = "b")`, "a\r\nb\r", "a\r\nb\r"},
	{"line is there last, without newline", `line("F", line = "b")`, "a\nb", "a\nb"},
	{"match replaces the last", `line("F", line = "x = 3", match = "^#?x = ")`, "#x = 1\nx = 2\ny\n", "#x = 1\nx = 3\ny\n"},
	{"match replaces the first", `line("F", line = "x = 3", match = "^#?x = ", first = True)`, "#x = 1\nx = 2\ny\n", "x = 3\nx = 2\ny\n"},
	{"match without newline", `line("F", line = "x = 3", match = "^x")`, "y\nx = 2", "y\nx = 3"},
	{"match keeps CRLF", `line("F", line = "x = 3", match = "^x.*2$")`, "y\r\nx = 2\r\n", "y\r\nx = 3\r\n"},
	{"match keeps the end of its own line", `line("F", line = "X", match = "^x")`, "y\nx\r\nz\n", "y\nX\r\nz\n"},
	{"match becomes an empty last line", `line("F", line = "", match = "^x")`, "y\r\nx", "y\r\n\r\n"},
	{"match of nothing appends", `line("F", line = "x = 3", match = "^x")`, "y\n", "y\nx = 3\n"},
	{"match of nothing, line is there", `line("F", line = "X", match = "^x")`, "X\ny\n", "X\ny\n"},
	{"match and the bytes around", `line("F", line = "x", match = "^k")`, "\xff\xfe\x00\nk\n\x80\x81", "\xff\xfe\x00\nx\n\x80\x81"},
	{"a dollar is a dollar", `line("F", line = "PATH=$1:$HOME", match = "^PATH")`, "PATH=\n", "PATH=$1:$HOME\n"},
	{"insert_after", `line("F", line = "new", insert_after = "^a")`, "a\nb\na2\nc\n", "a\nb\na2\nnew\nc\n"},
	{"insert_after the first", `line("F", line = "new", insert_after = "^a", first = True)`, "a\nb\na2\nc\n", "a\nnew\nb\na2\nc\n"},
	{"insert_after the last line without newline", `line("F", line = "new", insert_after = "^b")`, "a\nb", "a\nb\nnew\n"},
	{"insert_after nothing", `line("F", line = "new", insert_after = "^z")`, "a\nb\n", "a\nb\nnew\n"},
	{"insert_after EOF", `line("F", line = "new", insert_after = "EOF")`, "EOF\nb\n", "EOF\nb\nnew\n"},
	{"insert_before", `line("F", line = "new", insert_before = "^b")`, "a\nb\nb\nc", "a\nb\nnew\nb\nc"},
	{"insert_before BOF", `line("F", line = "new", insert_before = "BOF")`, "a\r\nb", "new\r\na\r\nb"},
	{"insert_before BOF of an empty file", `line("F", line = "new", insert_before = "BOF")`, "", "new\n"},
	{"backrefs", `line("F", line = r"\1 = 4\g<rest>", match = r"^(x) = \d+(?P<rest>.*)$", backrefs = True)`, "y\nx = 1 # why\n", "y\nx = 4 # why\n"},
	{"backrefs of nothing", `line("F", line = r"\1", match = "^(x)", backrefs = True)`, "y\n", "y\n"},
	{"absent by line", `line("F", line = "b", absent = True)`, "b\na\nb\nbb\nb", "a\nbb\n"},
	{"absent by match", `line("F", match = "^b", absent = True)`, "b\r\na\r\nb\r\nbb", "a\r\n"},
	{"absent from nothing", `line("F", line = "b", absent = True)`, "a\nc", "a\nc"},
	{"absent of a missing file", `line("F", line = "b", absent = True)`, "-", "-"},
	{"absent of everything", `line("F", match = "", line = "a", absent = True)`, "a\n", ""},

	{"block at the end", `block("F", content = "x\ny\n")`, "a\n", "a\n# BEGIN FABGO MANAGED BLOCK\nx\ny\n# END FABGO MANAGED BLOCK\n"},
	{"block behind no newline", `block("F", content = "x")`, "a", "a\n# BEGIN FABGO MANAGED BLOCK\nx\n# END FABGO MANAGED BLOCK\n"},
	{"block of a CRLF file", `block("F", content = "x\ny", marker = "; {mark}")`, "a\r\n", "a\r\n; BEGIN\r\nx\r\ny\r\n; END\r\n"},
	{"block replaced", `block("F", content = "new", marker = "# {mark}")`, "a\n# BEGIN\nold\nolder\n# END\nz", "a\n# BEGIN\nnew\n# END\nz"},
	{"block replaced at the end without newline", `block("F", content = "new", marker = "# {mark}")`, "a\n# BEGIN\nold\n# END", "a\n# BEGIN\nnew\n# END"},
	{"block is there", `block("F", content = "x", marker = "# {mark}")`, "# BEGIN\nx\n# END\n", "# BEGIN\nx\n# END\n"},
	{"block is there in CRLF", `block("F", content = "x", marker = "# {mark}")`, "# BEGIN\r\nx\r\n# END\r\n", "# BEGIN\r\nx\r\n# END\r\n"},
	{"block replaced in CRLF", `block("F", content = "y", marker = "# {mark}")`, "# BEGIN\r\nx\r\n# END\r\n", "# BEGIN\r\ny\r\n# END\r\n"},
	{"block without content", `block("F", content = "", marker = "# {mark}")`, "a\n", "a\n# BEGIN\n# END\n"},
	{"block of blank lines", `block("F", content = "\n\n", marker = "# {mark}")`, "", "# BEGIN\n\n\n# END\n"},
	{"block with other words", `block("F", content = "x", marker = "<!-- {mark} -->", begin = "app", end = "/app")`, "", "<!-- app -->\nx\n<!-- /app -->\n"},
	{"block insert_before", `block("F", content = "x", marker = "# {mark}", insert_before = "^Match ")`, "a\nMatch all\nb\n", "a\n# BEGIN\nx\n# END\nMatch all\nb\n"},
	{"block insert_before BOF", `block("F", content = "x", marker = "# {mark}", insert_before = "BOF")`, "a", "# BEGIN\nx\n# END\na"},
	{"block insert_after", `block("F", content = "x", marker = "# {mark}", insert_after = "^a")`, "a\nb\n", "a\n# BEGIN\nx\n# END\nb\n"},
	{"block stays where it is", `block("F", content = "y", marker = "# {mark}", insert_before = "BOF")`, "a\n# BEGIN\nx\n# END\n", "a\n# BEGIN\ny\n# END\n"},
	{"block created", `block("F", content = "x", marker = "# {mark}", create = True)`, "-", "# BEGIN\nx\n# END\n"},
	{"block absent", `block("F", marker = "# {mark}", absent = True)`, "a\n# BEGIN\nx\n# END\nb", "a\nb"},
	{"block absent from nothing", `block("F", marker = "# {mark}", absent = True)`, "a", "a"},
	{"block absent of a missing file", `block("F", absent = True)`, "-", "-"},
	{"block beside another", `block("F", content = "2", marker = "# {mark} two")`, "# BEGIN one\n1\n# END one\n", "# BEGIN one\n1\n# END one\n# BEGIN two\n2\n# END two\n"},
	{"block leaves odd bytes", `block("F", content = "x", marker = "# {mark}")`, "\xff\x00\n", "\xff\x00\n# BEGIN\nx\n# END\n"},

	{"replace all", `replace("F", match = "a", replacement = "b")`, "a ca\na", "b cb\nb"},
	{"replace with nothing", `replace("F", match = "^#.*\n")`, "#a\nb\n#c\n", "b\n"},
	{"replace at lines", `replace("F", match = "^x$", replacement = "y")`, "x\nxx\nx", "y\nxx\ny"},
	{"replace with groups", `replace("F", match = r"^(\w+)=old (?P<v>\d)", replacement = r"\1=new \g<v> \\ $1")`, "k=old 7\n", "k=new 7 \\ $1\n"},
	{"replace the whole match", `replace("F", match = r"\b\d+\b", replacement = r"<\0n>")`, "a 12\n", "a <12n>\n"},
	{"replace over lines", `replace("F", match = "(?s)<a>.*</a>", replacement = "<a/>")`, "x <a>\n1\n</a> y", "x <a/> y"},
	{"replace literally", `replace("F", match = "a.b", replacement = r"\1$1", literal = True)`, "a.b axb\n", "\\1$1 axb\n"},
	{"replace behind", `replace("F", match = "x", replacement = "y", after = r"^\[two\]$")`, "x\n[two]\nx\n", "x\n[two]\ny\n"},
	{"replace before", `replace("F", match = "x", replacement = "y", before = "^end")`, "x\nend\nx\n", "y\nend\nx\n"},
	{"replace between", `replace("F", match = "x", replacement = "y", after = "a", before = "a")`, "x a x a x", "x a y a x"},
	{"replace without the limit", `replace("F", match = "x", replacement = "y", after = "nowhere")`, "x\n", "x\n"},
	{"replace nothing", `replace("F", match = "x", replacement = "y")`, "\xff", "\xff"},
	{"replace in CRLF", `replace("F", match = "b", replacement = "c")`, "a\r\nb\r\n", "a\r\nc\r\n"},
	{"replace odd bytes around", `replace("F", match = "b", replacement = "c")`, "\xff\xfeb\x00", "\xff\xfec\x00"},
	{"replace required and done", `replace("F", match = "old", replacement = "new", required = True)`, "new\n", "new\n"},
}

func TestEditTable(t *testing.T) {
	for _, e := range editTable {
		t.Run(e.name, func(t *testing.T) {
			f := newEdited(e.before)
			for range 2 { // the second time it is as it is to be
				if err := f.edit(t, e.call); err != nil {
					t.Fatal(err)
				}
				if got := f.String(); got != e.after {
					t.Fatalf("the file holds %q\nwant %q", got, e.after)
				}
			}
			if want := map[bool]int{true: 1}[e.before != e.after]; f.writes != want {
				t.Errorf("it was written %d times, want %d", f.writes, want)
			}
		})
	}
}

// Steps after one another edit the same file: the plan of the later ones sees what the earlier ones will have done.
func TestEditTableInSequence(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	if err := os.WriteFile(d+"/target", []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d+"/f", []byte("a = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", d+"/link"); err != nil {
		t.Fatal(err)
	}
	s.laws(d, []lawCase{
		{"of one file", `file.line("D/f", line = "b = 2")
file.replace("D/f", match = "1$", replacement = "one")
file.block("D/f", content = "c", insert_before = "BOF")
file.line("D/copy", line = file.read("D/f").splitlines()[1], create = True)`},
		{"created in a new folder", `file.dir("D/new")
file.line("D/new/f", line = "a", create = True, mode = "0600")
file.line("D/new/f", line = "b")`},
		{"mode only", `file.line("D/new/f", line = "a", mode = "0644")`},
		{"follow", `file.line("D/link", line = "y", follow = True)`},
		{"sensitive", `file.line("D/new/f", line = "hush hush", sensitive = True)`},
		{"backup", `file.replace("D/new/f", match = "^a$", replacement = "z", backup = True)`},
		{"validate", `file.block("D/new/f", content = "valid", validate = "grep -q valid %s")`},
	})
	for name, want := range map[string]string{"/f": "# BEGIN FABGO MANAGED BLOCK\nc\n# END FABGO MANAGED BLOCK\na = one\nb = 2\n", "/copy": "c\n", "/target": "x\ny\n"} {
		if b, err := os.ReadFile(d + name); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	kept := 0
	for line := range strings.Lines(tree(t, d)) {
		if strings.HasPrefix(line, "/new/f.2026-11-24T10:00:00Z~ ") && strings.Contains(line, `"a\nb\nhush hush\n"`) {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("no backup:\n%s", tree(t, d))
	}
}

func TestEditTableOfFailures(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	for name, content := range map[string]string{
		"f": "old\n", "twice": "# BEGIN\n# END\n# BEGIN\n# END\n", "open": "# BEGIN\nx\n", "end": "x\n# END\n",
		"ends": "# BEGIN\n# END\n# END\n", "nested": "# BEGIN\n# BEGIN\n# END\n",
	} {
		if err := os.WriteFile(d+"/"+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("f", d+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d+"/folder", 0o755); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(d + "/large")
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(editLimit + 1); err != nil { // sparse
		t.Fatal(err)
	}
	large.Close()
	for _, c := range []struct {
		source  string
		verdict journal.Verdict
		want    string
	}{
		{`file.line("D/none", line = "a")`, journal.Broken, "create = True"},
		{`file.block("D/none", content = "a")`, journal.Broken, "create = True"},
		{`file.replace("D/none", match = "a", replacement = "b")`, journal.Broken, "there is no such file"},
		{`file.line("D/folder", line = "a")`, journal.Broken, "not a file"},
		{`file.line("D/link", line = "a")`, journal.Broken, "follow = True"},
		{`file.line("D/large", line = "a")`, journal.Broken, "larger than 16 MiB"},
		{`file.line("D/none/f", line = "a", create = True)`, journal.Broken, `file.dir("D/none")`},
		{`file.line("D/f", line = "a", validate = ["false", "%s"])`, journal.Broken, "exit code 1"},
		{`file.line("D/f")`, journal.Invalid, "give line"},
		{`file.line("D/f", absent = True)`, journal.Invalid, "give line or match"},
		{`file.line("D/f", line = "a\nb")`, journal.Invalid, "more than one line"},
		{`file.line("D/f", line = "a\r")`, journal.Invalid, "more than one line"},
		{`file.line("D/f", line = "a", match = "(")`, journal.Invalid, "file.line: match: error parsing regexp"},
		{`file.line("D/f", line = "a", match = "(?=a)")`, journal.Invalid, "no lookaround"},
		{`file.line("D/f", line = "a", match = "b)|(c")`, journal.Invalid, "unexpected )"},
		{`file.line("D/f", line = "a", insert_after = "b", insert_before = "c")`, journal.Invalid, "not both"},
		{`file.line("D/f", line = "a", insert_after = "[")`, journal.Invalid, "insert_after: error parsing regexp"},
		{`file.line("D/f", line = "a", insert_after = "")`, journal.Invalid, "insert_after: it is empty"},
		{`file.line("D/f", line = r"\1", match = "a", backrefs = True)`, journal.Invalid, `\1 stands for a group`},
		{`file.line("D/f", line = r"\1", backrefs = True)`, journal.Invalid, "backrefs needs match"},
		{`file.line("D/f", line = r"\0\0", match = "^.*$", backrefs = True)`, journal.Broken, "change its own result again"},
		{`file.line("D/f", line = "a", validate = "true")`, journal.Invalid, "does not hold %s"},
		{`file.line("D/f", line = 3)`, journal.Invalid, "line: got int 3, want a string"},
		{`file.block("D/twice", marker = "# {mark}")`, journal.Broken, "stands in lines 1 and 3"},
		{`file.block("D/nested", marker = "# {mark}")`, journal.Broken, "stands in lines 1 and 2"},
		{`file.block("D/open", marker = "# {mark}", absent = True)`, journal.Broken, `the marker "# END" is missing`},
		{`file.block("D/end", marker = "# {mark}")`, journal.Broken, `the marker "# END" in line 2 ends no block`},
		{`file.block("D/ends", marker = "# {mark}")`, journal.Broken, "in line 3 ends no block"},
		{`file.block("D/f", marker = "# here")`, journal.Invalid, "does not hold {mark}"},
		{`file.block("D/f", marker = "a\n{mark}")`, journal.Invalid, "more than one line"},
		{`file.block("D/f", begin = "X", end = "X")`, journal.Invalid, "must differ"},
		{`file.block("D/f", marker = "# {mark}", content = "a\n# END\n")`, journal.Invalid, "which is a marker"},
		{`file.replace("D/f", match = "l", replacement = r"x\0", required = True)`, journal.Broken, "again on every run"},
		{`file.replace("D/f", match = "^(old)$", replacement = r"-\1", required = True)`, journal.Broken, "the next run would fail"},
		{`file.replace("D/f", match = "a", required = True)`, journal.Invalid, "leave required out"},
		{`file.replace("D/f", match = "")`, journal.Invalid, "match is empty"},
		{`file.replace("D/f", match = "(")`, journal.Invalid, "file.replace: match: error parsing regexp"},
		{`file.replace("D/f", match = "a", after = "(")`, journal.Invalid, "after: error parsing regexp"},
		{`file.replace("D/f", match = "a", before = "(")`, journal.Invalid, "before: error parsing regexp"},
		{`file.replace("D/f", match = "a", replacement = r"\1")`, journal.Invalid, `replacement: \1 stands for a group`},
		{`file.replace("D/f", match = "(a)", replacement = r"\g<x>")`, journal.Invalid, `\g<x> stands for a group`},
		{`file.replace("D/f", match = "old", replacement = "older")`, journal.Broken, "change its own result again"},
		{`file.replace("D/f", match = "x", replacement = "y", required = True)`, journal.Broken, `nothing matches "x"`},
		{`file.replace("D/f", match = "old", replacement = "y", after = "z", required = True)`, journal.Broken, `nothing matches "old"`},
	} {
		source := strings.ReplaceAll(c.source, "D/", d+"/")
		want := strings.ReplaceAll(c.want, "D/", d+"/")
		if c.want != "exit code 1" { // a plan does not validate
			s.plan(source).fails(c.verdict, want)
		}
		s.run(source).fails(c.verdict, want)
	}
	if b, err := os.ReadFile(d + "/f"); err != nil || string(b) != "old\n" {
		t.Errorf("a failed edit left %q, %v", b, err)
	}
}

// Behind a command of which nobody knows what it does, the file is not known, and the plan says so instead of failing.
func TestEditTableUnknown(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	for _, call := range []string{
		`file.line("D/f", line = "a")`, `file.line("D/f", line = "a", absent = True)`, `file.block("D/f", content = "a")`,
		`file.replace("D/f", match = "x", replacement = "y")`,
	} {
		source := strings.ReplaceAll("run(\"echo x > D/f\")\n"+call+"\nfile.put(\"D/later\", content = \"\")", "D/", d+"/")
		p := s.plan(source).ok()
		ends := p.ends()
		if len(ends) != 3 || ends[1].Status != journal.Unknown || !strings.Contains(ends[1].Because, "step 1") {
			t.Errorf("%s: the plan says %s", call, p.status())
		}
		if _, err := os.Stat(d + "/f"); err == nil {
			t.Fatal("the plan made the file")
		}
	}
}

// A file that is not to be shown is not read into the journal either.
func TestEditTableSensitive(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	for _, call := range []string{`line("F", line = "password = hush")`, `block("F", content = "password = hush")`, `replace("F", match = "public", replacement = "hush")`} {
		if err := os.WriteFile(d+"/f", []byte("public\nold hush\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		source := "file." + strings.Replace(strings.TrimSuffix(call, ")"), `"F"`, `"`+d+`/f"`, 1) + ", sensitive = True)"
		for _, p := range []*performance{s.plan(source).ok(), s.run(source).ok()} {
			if len(p.changedResources()) != 1 {
				t.Errorf("%s: nothing changed", call)
			}
			for _, e := range p.ends() {
				if strings.Contains(differences(e.Diff), "hush") {
					t.Errorf("%s: the diff shows it: %s", call, differences(e.Diff))
				}
			}
			for _, r := range p.records {
				if o, ok := r.Body.(journal.Outcome); ok && bytes.Contains(o.Result, []byte("hush")) {
					t.Errorf("%s: the journal holds it: %s", call, o.Result)
				}
			}
		}
	}
}
