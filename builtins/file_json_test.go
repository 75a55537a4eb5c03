package builtins

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"fabgo/internal/journal"
)

const jsonConfig = `// head
{
    "a": {"x": 1, "y" : [1,2]}, // about a
    "b": [
        "one",
        "two"
    ],
    /* c */ "c": 1.50
}
`

var jsonTable = []struct{ name, call, before, after string }{
	{"value", `key = "a.x", value = 2`, jsonConfig, strings.Replace(jsonConfig, `"x": 1`, `"x": 2`, 1)},
	{"right", `key = "c", value = 1.5`, jsonConfig, jsonConfig},
	{"a float is no int", `key = "x", value = 1`, `{"x":1.0}`, `{"x":1}`},
	{"large number", `key = "x", value = 123456789012345678901234567890`, `{"x":123456789012345678901234567890}`, `{"x":123456789012345678901234567890}`},
	{"right with escapes", `key = "x", value = "é<"`, `{"x":"\u00e9\u003C"}`, `{"x":"\u00e9\u003C"}`},
	{"into one line", `key = "a.z", value = {"k": [True, None]}`, jsonConfig, strings.Replace(jsonConfig, `[1,2]}`, `[1,2], "z": {"k": [true, null]}}`, 1)},
	{"new key", `key = "d", value = {"k": []}`, jsonConfig, strings.Replace(jsonConfig, "1.50", "1.50,\n    \"d\": {\n        \"k\": []\n    }", 1)},
	{"new keys on the way", `key = "d.e.f", value = 1`, "{\n\t\"a\": 1\n}", "{\n\t\"a\": 1,\n\t\"d\": {\n\t\t\"e\": {\n\t\t\t\"f\": 1\n\t\t}\n\t}\n}"},
	{"element", `key = "b", value = "three", element = True`, jsonConfig, strings.Replace(jsonConfig, `"two"`, "\"two\",\n        \"three\"", 1)},
	{"element is there", `key = "b", value = "one", element = True`, jsonConfig, jsonConfig},
	{"element of a new list", `key = "x.y", value = 1, element = True`, `{}`, "{\n  \"x\": {\n    \"y\": [\n      1\n    ]\n  }\n}"},
	{"element of null", `key = "x", value = 1, element = True`, `{"x": null}`, `{"x": [1]}`},
	{"element by number", `key = ["b", 1], value = "2"`, jsonConfig, strings.Replace(jsonConfig, "two", "2", 1)},
	{"element by number in a text", `key = "b.0", value = "1"`, jsonConfig, strings.Replace(jsonConfig, "one", "1", 1)},
	{"last element", `key = ["b", -1], value = "2"`, jsonConfig, strings.Replace(jsonConfig, "two", "2", 1)},
	{"key in an element", `key = [0, "k"], value = 1`, `[{}]`, `[{"k": 1}]`},
	{"key with dots", `key = ["a.b"], value = 2`, `{"a.b":1,"a":{"b":1}}`, `{"a.b":2,"a":{"b":1}}`},
	{"compact", `key = "b", value = {"c":[1,2]}`, `{"a":1}`, `{"a":1,"b":{"c":[1,2]}}`},
	{"CRLF", `key = "b", value = 1`, "{\r\n  \"a\": 1\r\n}\r\n", "{\r\n  \"a\": 1,\r\n  \"b\": 1\r\n}\r\n"},
	{"behind a comment", `key = "b", value = 1`, "{\n  \"a\": 1 // one\n  // end\n}\n", "{\n  \"a\": 1, // one\n  // end\n  \"b\": 1\n}\n"},
	{"behind a comment in one line", `key = "b", value = 1`, "{\"a\": 1 // one\n}", "{\"a\": 1, // one\n  \"b\": 1\n}"},
	{"comments only inside", `key = "b", value = 1`, "{\n  // none\n}\n", "{\n  // none\n  \"b\": 1\n}\n"},
	{"comma at the end", `key = "b", value = 1`, "{\n  \"a\": 1,\n}\n", "{\n  \"a\": 1,\n  \"b\": 1,\n}\n"},
	{"comma at the end of a line", `key = "b", value = 1`, `{"a": 1,}`, `{"a": 1, "b": 1,}`},
	{"null on the way", `key = "a.b", value = 1`, `{"a":null}`, `{"a":{"b":1}}`},
	{"null document", `key = "a", value = 1`, "null\n", "{\n  \"a\": 1\n}\n"},
	{"null", `key = "a", null = True`, `{"a": 1}`, `{"a": null}`},
	{"created", `key = "a", value = 1, create = True`, "-", "{\n  \"a\": 1\n}\n"},
	{"blank", `key = "a", value = 1`, "\n", "\n{\n  \"a\": 1\n}\n"},
	{"byte order mark", `key = "a", value = 2`, "\ufeff{\"a\":1}", "\ufeff{\"a\":2}"},
	{"absent", `key = "a.x", absent = True`, jsonConfig, strings.Replace(jsonConfig, `"x": 1, `, "", 1)},
	{"absent last", `key = "a.y", absent = True`, jsonConfig, strings.Replace(jsonConfig, `, "y" : [1,2]`, "", 1)},
	{"absent line", `key = "b", value = "one", element = True, absent = True`, jsonConfig, strings.Replace(jsonConfig, "        \"one\",\n", "", 1)},
	{"absent last line", `key = "b", value = "two", element = True, absent = True`, jsonConfig, strings.Replace(jsonConfig, ",\n        \"two\"", "", 1)},
	{"absent keeps comments", `key = "a", absent = True`, jsonConfig, strings.Replace(jsonConfig, `"a": {"x": 1, "y" : [1,2]}, `, "", 1)},
	{"absent only", `key = "a", absent = True`, "{\n  \"a\": 1\n}\n", "{}\n"},
	{"absent comma behind a comment", `key = "a", absent = True`, "{\"a\": 1 /* x */, \"b\": 2}", "{/* x */ \"b\": 2}"},
	{"absent is so", `key = "x.y.z", absent = True`, jsonConfig, jsonConfig},
	{"absent below a scalar", `key = "c.x", absent = True`, jsonConfig, jsonConfig},
	{"absent element", `key = "b", value = 1, element = True, absent = True`, `{"b": [1, 2, 1, [1], 1]}`, `{"b": [2, [1]]}`},
	{"absent of a missing file", `key = "a", absent = True`, "-", "-"},
}

func TestJSONTable(t *testing.T) {
	for _, e := range jsonTable {
		t.Run(e.name, func(t *testing.T) {
			f := newEdited(e.before)
			for range 2 {
				if err := f.edit(t, `json("F", `+e.call+`)`); err != nil {
					t.Fatal(err)
				}
				if got := f.String(); got != e.after {
					t.Fatalf("the file holds %s\nwant %s", got, e.after)
				}
			}
		})
	}
}

// documentFailures are those that all documents share.
var documentFailures = []struct {
	args    string
	verdict journal.Verdict
	want    string
}{
	{`key = "", value = 1`, journal.Invalid, "has an empty part"},
	{`key = "a..b", value = 1`, journal.Invalid, "has an empty part"},
	{`key = [], value = 1`, journal.Invalid, "names joined by dots, or a list"},
	{`key = 1, value = 1`, journal.Invalid, "names joined by dots, or a list"},
	{`key = [1.5], value = 1`, journal.Invalid, "in the list"},
	{`key = [1 << 40], value = 1`, journal.Invalid, "no number of an element"},
	{`key = "a"`, journal.Invalid, "give value"},
	{`key = "a", element = True, absent = True`, journal.Invalid, "give value"},
	{`key = "a", value = 1, null = True`, journal.Invalid, "not both"},
	{`key = "a", value = 1, absent = True`, journal.Invalid, "element = True"},
	{`key = "a", value = {1: 2}`, journal.Invalid, "the key 1 is no text"},
	{`key = "a", value = [len]`, journal.Invalid, "value: got builtin"},
	{`key = "a", value = float("nan")`, journal.Invalid, "cannot be written"},
	{`key = "a.0", value = 1`, journal.Broken, "a is a number, which holds no 0"},
	{`key = ["o", 0], value = 1`, journal.Broken, "o is an object, so the name"},
	{`key = "l.x", value = 1`, journal.Broken, "l is a list, so the number"},
	{`key = ["l", 7], value = 1`, journal.Broken, "l has 1 elements"},
	{`key = ["n", "x", 0], value = 1`, journal.Broken, "give the whole list"},
	{`key = "o", value = 1, element = True`, journal.Broken, "o is an object, not a list"},
	{`key = "o", value = 1, element = True, absent = True`, journal.Broken, "not a list"},
	{`key = "l.0", absent = True`, journal.Broken, "with element = True"},
	{`key = "a", value = 2, validate = ["false", "%s"]`, journal.Broken, "exit code 1"},
}

func (s *stage) documentFails(verb, content string) {
	s.t.Helper()
	f := s.t.TempDir() + "/f"
	if err := os.WriteFile(f, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range documentFailures {
		source := "file." + verb + `("` + f + `", ` + c.args + ")"
		if c.want != "exit code 1" {
			s.plan(source).fails(c.verdict, c.want)
		}
		s.run(source).fails(c.verdict, c.want)
	}
	s.plan("file."+verb+`("`+f+`.none", key = "a", value = 1)`).fails(journal.Broken, "create = True")
	if b, err := os.ReadFile(f); err != nil || string(b) != content {
		s.t.Errorf("a failed edit left %q, %v", b, err)
	}
}

func TestJSONFailures(t *testing.T) {
	newLocal(t).documentFails("json", `{"a": 1, "o": {}, "l": [1]}`)
	for text, want := range map[string]string{
		`{"a": 1, "a": 2}`: `the key "a" stands there twice`, `{"a": 1 "b": 2}`: "a comma or } is missing", `{a: 1}`: "a key in quotation marks",
		"{\n\"a\" 1}": "line 2, column 5: a colon is missing", `{"a": x}`: `"x" is no value`, `{"a": "x}`: "a string has no end", `{} {}`: "something follows",
		`/* x`: "a comment has no end", `{"a": "\x"}`: "a string", `{"a": 01}`: "is no value", strings.Repeat("[", 500): "nested deeper", `{"a": 1,,}`: "a key in quotation",
		"{\"a\": \"\xff\"}": "not UTF-8", `{"a":1e999}`: "out of range",
	} {
		err := newEdited(text).edit(t, `json("F", key = "z", value = 1)`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// documentLaws holds edits to the laws.
func (s *stage) documentLaws(verb, wanted string) {
	s.t.Helper()
	d := s.t.TempDir()
	var cases []lawCase
	for _, c := range []lawCase{
		{"created", `file.VERB("D/f", key = "a", value = 1, create = True, mode = "0600")
file.VERB("D/f", key = "b.c", value = "x", element = True)
file.VERB("D/f", key = "b.c", value = "y", element = True)`},
		{"mode only", `file.VERB("D/f", key = "a", value = 1, mode = "0640")`},
		{"sensitive", `file.VERB("D/f", key = "password", value = "hush hush", sensitive = True)`},
		{"backup", `file.VERB("D/f", key = "a", absent = True, backup = True)`},
	} {
		cases = append(cases, lawCase{c.name, strings.ReplaceAll(c.source, "VERB", verb)})
	}
	s.laws(d, cases)
	if b, err := os.ReadFile(d + "/f"); err != nil || string(b) != wanted {
		s.t.Errorf("it holds %q, %v", b, err)
	}
}

func TestJSONLaws(t *testing.T) {
	newLocal(t).documentLaws("json", `{
  "b": {
    "c": [
      "x",
      "y"
    ]
  },
  "password": "hush hush"
}
`)
}

// Whatever the document: an edit gives the wanted document (apply itself demands that, so it must not be refused), settles, and an
// addition loses nothing, a removal brings nothing.
func FuzzJSON(f *testing.F) {
	for _, e := range jsonTable {
		if e.before != "-" {
			for op := range uint8(4) {
				f.Add(e.before, "a.x", "v", op)
				f.Add(e.before, "b.0", "v", op)
				f.Add(e.before, "d", "one", op)
			}
		}
	}
	f.Fuzz(func(t *testing.T, before, key, value string, op uint8) {
		path, err := documentPath(starlark.String(key))
		if err != nil {
			t.Skip()
		}
		e := &documentEdit{path: path, value: starlark.String(value), absent: op&1 != 0, element: op&2 != 0}
		if e.tree, err = treeOf(e.value, 0); err != nil {
			t.Skip()
		}
		root, err := parseJSONTree([]byte(before))
		if err != nil || root == nil {
			t.Skip()
		}
		changes, wanted, err := e.resolve(root)
		if err != nil {
			t.Skip()
		}
		format := documentFormat{parseJSONTree, changeJSON}
		after, err := e.apply([]byte(before), format)
		if err != nil {
			if strings.Contains(err.Error(), "nested deeper") {
				t.Skip()
			}
			t.Fatalf("%q with %+v: %v", before, e, err)
		}
		if got, err := parseJSONTree(after); err != nil || !reflect.DeepEqual(got, wanted) {
			t.Fatalf("%q became %q, %v", before, after, err)
		}
		if again, err := e.apply(after, format); err != nil || string(again) != string(after) {
			t.Fatalf("%q became %q and then %q, %v", before, after, again, err)
		}
		if len(changes) == 1 && changes[0].op > removeValue && !subsequence(before, string(after)) {
			t.Fatalf("%q became %q, which lacks some of it", before, after)
		}
		if len(changes) == 1 && changes[0].op == removeValue && !subsequence(string(after), before) {
			t.Fatalf("%q became %q, which holds something new", before, after)
		}
	})
}

// subsequence says whether all bytes of a but the blanks stand in b, in their order.
func subsequence(a, b string) bool {
	for i := range len(a) {
		if strings.IndexByte(" \t\r\n", a[i]) >= 0 {
			continue
		}
		at := strings.IndexByte(b, a[i])
		if at < 0 {
			return false
		}
		b = b[at+1:]
	}
	return true
}
