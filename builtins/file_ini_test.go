package builtins

import (
	"os"
	"strings"
	"testing"

	"fabgo/internal/journal"
)

var iniTable = []struct{ name, call, before, after string }{
	{"value", `key = "b", section = "s", value = "2"`, "; c\n[s]\na=1\nb  =  1  \n\n[t]\nb=1\n", "; c\n[s]\na=1\nb  =  2  \n\n[t]\nb=1\n"},
	{"right", `key = "b", section = "s", value = 2`, "[s]\nb:2\n", "[s]\nb:2\n"},
	{"colon before =", `key = "b", section = "s", value = "x=1", separator = ": "`, "[s]\nb: x=0\n", "[s]\nb: x=1\n"},
	{"colon in a key", `key = "a", section = "s", value = "1"`, "[s]\na:b = c\n", "[s]\na:b = c\na = 1\n"},
	{"new key", `key = "n", section = "s", value = "1"`, "[s]\na=1\n\n# about t\n[t]\n", "[s]\na=1\nn = 1\n\n# about t\n[t]\n"},
	{"new key without end", `key = "n", section = "s", value = "1"`, "[s]\na=1", "[s]\na=1\nn = 1\n"},
	{"new key in an empty section", `key = "n", section = "s", value = "1", separator = "="`, "[s]\n[t]\n", "[s]\nn=1\n[t]\n"},
	{"new section", `key = "n", section = "s", value = "1"`, "[a]\nx=1\n", "[a]\nx=1\n\n[s]\nn = 1\n"},
	{"new section in CRLF", `key = "n", section = "s", value = "1"`, "[a]\r\nx=1\r\n", "[a]\r\nx=1\r\n\r\n[s]\r\nn = 1\r\n"},
	{"new section only", `section = "s"`, "", "[s]\n"},
	{"section is there", `section = "s"`, " [ s ] ; yes\n", " [ s ] ; yes\n"},
	{"created", `key = "n", section = "s", value = "1", create = True`, "-", "[s]\nn = 1\n"},
	{"repeated section", `key = "n", section = "s", value = "1"`, "[s]\na=1\n[t]\n[s]\nb=1\n[u]\n", "[s]\na=1\n[t]\n[s]\nb=1\nn = 1\n[u]\n"},
	{"git's sections and indentation", `key = "url", section = 'remote "origin"', value = "x"`, "[remote \"origin\"]\n\tfetch = +a:b\n[core]\n", "[remote \"origin\"]\n\tfetch = +a:b\n\turl = x\n[core]\n"},
	{"no sections", `key = "b", value = "2"`, "# c\na=1\nb=1\n", "# c\na=1\nb=2\n"},
	{"no sections, new", `key = "n", value = "2"`, "# c\n", "# c\nn = 2\n"},
	{"above the sections", `key = "n", value = "2"`, "root = true\n\n# py\n[*.py]\nn=1\n", "root = true\nn = 2\n\n# py\n[*.py]\nn=1\n"},
	{"above the sections, first", `key = "n", value = "2"`, "# head\n\n# py\n[*.py]\n", "# head\nn = 2\n\n# py\n[*.py]\n"},
	{"repeated key", `key = "k", section = "s", value = "3"`, "[s]\nk=1\nx=0\nk=2\n", "[s]\nk=3\nx=0\n"},
	{"list", `key = "k", section = "s", value = ["1", 3, "4"]`, "[s]\nk=1\nx=0\nk = 2\n", "[s]\nk=1\nx=0\nk = 3\nk = 4\n"},
	{"list is there", `key = "k", section = "s", value = ["1", "2"]`, "[s]\nk=1\nx\nk = 2\n", "[s]\nk=1\nx\nk = 2\n"},
	{"list among others", `key = "k", section = "s", value = ["2", "3"], exclusive = False`, "[s]\nk=1\nk=2\nz=0\n", "[s]\nk=1\nk=2\nk = 3\nz=0\n"},
	{"empty value", `key = "ExecStart", section = "Service", value = ""`, "[Service]\nExecStart=/bin/a\n", "[Service]\nExecStart=\n"},
	{"from empty", `key = "k", section = "s", value = "v"`, "[s]\nk =\n", "[s]\nk = v\n"},
	{"alone", `key = "skip-networking", section = "mysqld", no_value = True`, "[mysqld]\nuser = m\n", "[mysqld]\nuser = m\nskip-networking\n"},
	{"alone from value", `key = "k", section = "s", no_value = True`, "[s]\n k = 1\n", "[s]\n k\n"},
	{"value from alone", `key = "k", section = "s", value = "1"`, "[s]\nk\nkk=2\n", "[s]\nk = 1\nkk=2\n"},
	{"uncomment", `key = "k", section = "s", value = "2", uncomment = True`, "[s]\n# about k\n;k=1\nz=1\n[t]\n#k=3\n", "[s]\n# about k\nk=2\nz=1\n[t]\n#k=3\n"},
	{"comment stays", `key = "k", section = "s", value = "2"`, "[s]\n;k=1\nz=1\n", "[s]\n;k=1\nz=1\nk = 2\n"},
	{"uncomment needs nothing", `key = "k", section = "s", value = "2", uncomment = True`, "[s]\n;k=1\nk=2\n", "[s]\n;k=1\nk=2\n"},
	{"several lines", `key = "k", section = "s", value = "a\nb", multiline = True`, "[s]\nk = a\n  x\n  y\nz=1\n", "[s]\nk = a\n    b\nz=1\n"},
	{"several lines to one", `key = "k", section = "s", value = "a", multiline = True`, "[s]\r\nk = a\r\n  x\r\n", "[s]\r\nk = a\r\n"},
	{"several lines are there", `key = "k", section = "s", value = "\na\nb", multiline = True`, "[s]\nk =\n\ta\n\tb\n", "[s]\nk =\n\ta\n\tb\n"},
	{"backslash", `key = "k", section = "s", value = "c", multiline = True`, "[s]\nk = a \\\nb=1\nz=1\n", "[s]\nk = c\nz=1\n"},
	{"lines of their own", `key = "k", section = "s", value = "c", multiline = False`, "[s]\nk = a\n  b = 1\n", "[s]\nk = c\n  b = 1\n"},
	{"absent", `key = "k", section = "s", absent = True`, "[s]\nk=1\nx=1\nk\n[t]\nk=1", "[s]\nx=1\n[t]\nk=1"},
	{"absent value", `key = "k", section = "s", value = "2", absent = True`, "[s]\nk=1\nk=2\n", "[s]\nk=1\n"},
	{"absent section", `section = "s", absent = True`, "x=1\n[s]\nk=1\n[t]\n[s]\n", "x=1\n[t]\n"},
	{"absent of a missing file", `section = "s", absent = True`, "-", "-"},
	{"byte order mark", `key = "k", section = "s", value = "2"`, "\ufeff[s]\nk=1\n", "\ufeff[s]\nk=2\n"},
	{"odd bytes", `key = "k", section = "s", value = "2"`, "\xff\x00\n[s]\nk=\xfe\n", "\xff\x00\n[s]\nk=2\n"},
}

func (f *editedFile) ini(t testing.TB, call string) error {
	t.Helper()
	if !strings.Contains(call, "separator = ") {
		call += `, separator = " = "`
	}
	if !strings.Contains(call, "exclusive = ") {
		call += `, exclusive = True`
	}
	return f.edit(t, `ini("F", `+call+`)`)
}

func TestINITable(t *testing.T) {
	for _, e := range iniTable {
		t.Run(e.name, func(t *testing.T) {
			f := newEdited(e.before)
			for range 2 {
				if err := f.ini(t, e.call); err != nil {
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

func TestINIFailures(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	const before = "[s]\nk = 1\n  more\np = a \\\n"
	if err := os.WriteFile(d+"/f", []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    string
		verdict journal.Verdict
		want    string
	}{
		{``, journal.Invalid, "give section, key, or both"},
		{`section = ""`, journal.Invalid, "is no name of a section"},
		{`section = "a]"`, journal.Invalid, "is no name of a section"},
		{`key = "#a", value = "1"`, journal.Invalid, "is no name of a key"},
		{`key = "a=b", value = "1"`, journal.Invalid, "is no name of a key"},
		{`key = "a"`, journal.Invalid, "give value"},
		{`key = "a", value = True`, journal.Invalid, "write it as the program reads it"},
		{`key = "a", value = []`, journal.Invalid, "the list is empty"},
		{`key = "a", value = [["b"]]`, journal.Invalid, "a string or a number in the list"},
		{`key = "a", value = {}`, journal.Invalid, "got dict"},
		{`key = "a", value = ["b", "b"]`, journal.Invalid, "twice"},
		{`key = "a", value = " b"`, journal.Invalid, "quote it"},
		{`key = "a", value = "b\nc"`, journal.Invalid, "multiline = True"},
		{`key = "a", value = "b\n\nc", multiline = True`, journal.Invalid, "an empty line"},
		{`key = "a", value = "b\n#c", multiline = True`, journal.Invalid, "would not be read as a part"},
		{`key = "a", value = "b\r"`, journal.Invalid, "carriage return"},
		{`key = "a", value = "b", separator = " "`, journal.Invalid, "separator"},
		{`key = "a", value = "b", no_value = True`, journal.Invalid, "not both"},
		{`key = "a", absent = True, uncomment = True`, journal.Invalid, "leave them out"},
		{`section = "a", value = "b"`, journal.Invalid, "give key"},
		{`key = "k", section = "s", value = "2"`, journal.Broken, "line 3 may go on with the value of k in line 2"},
		{`key = "k", section = "s", absent = True`, journal.Broken, "line 3 may go on"},
		{`key = "k", section = "s", value = "2", multiline = True, validate = ["false", "%s"]`, journal.Broken, "exit code 1"},
	} {
		source := `file.ini("` + d + `/f"`
		if c.args != "" {
			source += ", " + c.args
		}
		source += ")"
		if c.want != "exit code 1" {
			s.plan(source).fails(c.verdict, c.want)
		}
		s.run(source).fails(c.verdict, c.want)
	}
	s.plan(`file.ini("`+d+`/none", section = "a")`).fails(journal.Broken, "create = True")
	if b, err := os.ReadFile(d + "/f"); err != nil || string(b) != before {
		t.Errorf("a failed edit left %q, %v", b, err)
	}
}

func TestINILaws(t *testing.T) {
	s, d := newLocal(t), t.TempDir()
	s.laws(d, []lawCase{
		{"created", `file.ini("D/f", section = "s", key = "a", value = 1, create = True, mode = "0600")
file.ini("D/f", section = "s", key = "b", value = ["x", "y"])`},
		{"mode only", `file.ini("D/f", section = "s", key = "a", value = "1", mode = "0640")`},
		{"sensitive", `file.ini("D/f", section = "s", key = "password", value = "hush hush", sensitive = True)`},
		{"backup", `file.ini("D/f", section = "s", key = "a", absent = True, backup = True)`},
	})
	if b, err := os.ReadFile(d + "/f"); err != nil || string(b) != "[s]\nb = x\nb = y\npassword = hush hush\n" {
		t.Errorf("it holds %q, %v", b, err)
	}
}

// Whatever the file holds: an edit settles, the lines that are not of the key stay as they are and in their order, and the key has the
// value.
func FuzzINI(f *testing.F) {
	for _, e := range iniTable {
		if e.before != "-" {
			f.Add(e.before, "s", "k", "v", true)
			f.Add(e.before, "", "b", "2", false)
		}
	}
	f.Fuzz(func(t *testing.T, before, section, key, value string, uncomment bool) {
		no := false
		e := iniEdit{section: section, named: section != "", key: key, keyed: true, values: []string{value}, exclusive: true, separator: " = ", uncomment: uncomment, multiline: &no}
		if e.check(true) != nil {
			t.Skip()
		}
		after, err := e.apply([]byte(before))
		if err != nil {
			t.Skip()
		}
		again, err := e.apply(after)
		if err != nil || string(again) != string(after) {
			t.Fatalf("%q became %q and then %q, %v", before, after, again, err)
		}
		l := linesOf([]byte(strings.TrimPrefix(string(after), "\ufeff")))
		found := e.found(l)
		if len(found) != 1 || found[0].value != value || found[0].bare {
			t.Fatalf("%q became %q, which has %+v", before, after, found)
		}
		if uncomment {
			return
		}
		was := linesOf([]byte(strings.TrimPrefix(before, "\ufeff")))
		for _, x := range e.found(was) {
			was.text[x.from] = "\x00"
		}
		rest := l.text
		for _, line := range was.text {
			if line == "\x00" {
				continue
			}
			for len(rest) > 0 && rest[0] != line {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				t.Fatalf("%q became %q: the line %q is lost", before, after, line)
			}
			rest = rest[1:]
		}
	})
}
