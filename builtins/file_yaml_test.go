package builtins

import (
	"reflect"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

const yamlConfig = `# head
---
a: &anchor
    x: 1   # about x
    "y" : 'it''s'
    z: "two"

b:   # about b
- one
- k: 1
  l: [1, "a]", {m: 2}]   # flow
# about c
c: *anchor
text: |
  first

  second
empty:
end: yes sir
`

func changed(old, new string) string { return strings.Replace(yamlConfig, old, new, 1) }

var yamlTable = []struct{ name, call, before, after string }{
	{"right", `key = "end", value = "yes sir"`, yamlConfig, yamlConfig},
	{"plain", `key = "end", value = "no sir"`, yamlConfig, changed("yes sir", "no sir")},
	{"needs quotes", `key = "end", value = "no"`, yamlConfig, changed("yes sir", `"no"`)},
	{"single quotes stay", `key = "q", value = "it's"`, "q : 'a'  # c\n", "q : 'it''s'  # c\n"},
	{"double quotes stay", `key = "q", value = "b"`, "q: \"a\\\"\" # c\n", "q: \"b\" # c\n"},
	{"number", `key = "n.m", value = 2.0`, "n:\n  m: 0x10 # hex\n", "n:\n  m: 2.0 # hex\n"},
	{"number is there", `key = "n", value = 16`, "n: 0x10\n", "n: 0x10\n"},
	{"truth", `key = "n", value = True`, "n: false\n", "n: true\n"},
	{"null", `key = "n", null = True`, "n: 1\n", "n: null\n"},
	{"null is there", `key = "empty", null = True`, yamlConfig, yamlConfig},
	{"from empty", `key = "empty", value = 1`, yamlConfig, changed("empty:", "empty: 1")},
	{"list from empty", `key = "empty", value = [1, {"a": 2, "b": []}]`, yamlConfig, changed("empty:", "empty:\n- 1\n- a: 2\n  b: []")},
	{"below empty", `key = "empty.q", value = 1`, yamlConfig, changed("empty:", "empty:\n    q: 1")},
	{"block scalar", `key = "text", value = "x"`, yamlConfig, changed("|\n  first\n\n  second", "x")},
	{"mapping for a scalar", `key = "a", value = {"b": {"c": 1}}`, "a: 1 # c\nz: 1\n", "a: # c\n  b:\n    c: 1\nz: 1\n"},
	{"scalar for a mapping", `key = "a", value = 1`, "a: # c\n  b: 1\nz: 1\n", "a: 1 # c\nz: 1\n"},
	{"mapping for a mapping", `key = "a", value = {"c": [1]}`, "a: # c\n  b: 1 # d\nz: 1\n", "a: # c\n  c:\n    - 1\nz: 1\n"},
	{"new key", `key = "new.k.l", value = "v"`, yamlConfig, yamlConfig + "new:\n    k:\n        l: v\n"},
	{"new key without end", `key = "b", value = 1`, "a: 1", "a: 1\nb: 1"},
	{"new key behind a comment", `key = "m.b", value = 1`, "m:\n  a: 1 # c\n\n# d\nz: 1\n", "m:\n  a: 1 # c\n  b: 1\n\n# d\nz: 1\n"},
	{"new key in CRLF", `key = "m.b", value = [1]`, "m:\r\n  a: 1\r\n", "m:\r\n  a: 1\r\n  b:\r\n    - 1\r\n"},
	{"new key in an element", `key = ["b", 1, "nn"], value = 1`, yamlConfig, changed("# flow\n", "# flow\n  nn: 1\n")},
	{"new key in flow", `key = ["b", 1, "l", 2, "nn"], value = {"o": [1]}`, yamlConfig, changed("m: 2", "m: 2, nn: {o: [1]}")},
	{"key that needs quotes", `key = ["a: b"], value = 1`, "x: 1\n", "x: 1\n\"a: b\": 1\n"},
	{"in flow", `key = ["b", 1, "l", 1], value = "b"`, yamlConfig, changed(`"a]"`, `"b"`)},
	{"element", `key = "b", value = "two", element = True`, yamlConfig, changed("# flow\n", "# flow\n- two\n")},
	{"element is there", `key = "b", value = "one", element = True`, yamlConfig, yamlConfig},
	{"element of a mapping", `key = "l", value = {"a": 1, "b": [2]}, element = True`, "l:\n  - a: 0\n", "l:\n  - a: 0\n  - a: 1\n    b:\n      - 2\n"},
	{"element in flow", `key = "l", value = "b", element = True`, "l: [a] # c\n", "l: [a, b] # c\n"},
	{"element in flow of lines", `key = "l", value = "b", element = True`, "l: [\n  a, # c\n]\n", "l: [\n  a,\n  b, # c\n]\n"},
	{"element of an empty list", `key = "l", value = "b", element = True`, "l: []\n", "l: [b]\n"},
	{"element of a new list", `key = "l", value = "b", element = True`, "# none\n", "# none\nl:\n  - b\n"},
	{"created", `key = "l.m", value = 1, create = True`, "-", "l:\n  m: 1\n"},
	{"wide characters", `key = ["é", "b"], value = 2`, "é: {ü: \"ö\", b: 1}\n", "é: {ü: \"ö\", b: 2}\n"},
	{"absent", `key = "a.y", absent = True`, changed("c: *anchor\n", ""), strings.Replace(changed("c: *anchor\n", ""), "    \"y\" : 'it''s'\n", "", 1)},
	{"absent block", `key = "text", absent = True`, yamlConfig, changed("text: |\n  first\n\n  second\n", "")},
	{"absent empty", `key = "empty", absent = True`, yamlConfig, changed("empty:\n", "")},
	{"absent last", `key = "b", absent = True`, "a: 1\nb: 1", "a: 1"},
	{"absent alone", `key = "a.b", absent = True`, "a:\n  b: 1 # c\n", "a:\n  {} # c\n"},
	{"absent first in an element", `key = ["b", 1, "k"], absent = True`, yamlConfig, changed("k: 1\n  l", "l")},
	{"absent in flow", `key = "a.b", absent = True`, "a: {b: 1, c: 2}\n", "a: {c: 2}\n"},
	{"absent last in flow", `key = "a.c", absent = True`, "a: {b: 1, c: 2}\n", "a: {b: 1}\n"},
	{"absent element", `key = "l", value = "b", element = True, absent = True`, "l:\n- a\n- b # c\n- d\n", "l:\n- a\n- d\n"},
	{"absent is so", `key = "x.y", absent = True`, yamlConfig, yamlConfig},
	{"absent of a missing file", `key = "a", absent = True`, "-", "-"},
	{"merge key is overridden", `key = "b.x", value = 2`, "a: &a {x: 1}\nb:\n  <<: *a\n", "a: &a {x: 1}\nb:\n  <<: *a\n  x: 2\n"},
	{"value for an alias", `key = "c", value = 1`, yamlConfig, changed("*anchor", "1")},
	{"tag elsewhere", `key = "b", value = 2`, "a: !vault x\nb: 1\n", "a: !vault x\nb: 2\n"},
}

func TestYAMLTable(t *testing.T) {
	for _, e := range yamlTable {
		t.Run(e.name, func(t *testing.T) {
			f := newEdited(e.before)
			for range 2 {
				if err := f.edit(t, `yaml("F", `+e.call+`)`); err != nil {
					t.Fatal(err)
				}
				if got := f.String(); got != e.after {
					t.Fatalf("the file holds %s\nwant %s", got, e.after)
				}
			}
		})
	}
}

func TestYAMLFailures(t *testing.T) {
	newLocal(t).documentFails("yaml", "a: 1\no: {}\nl: [1]\n")
	for _, c := range []struct{ before, call, want string }{
		{"a: 1\na: 2\n", `key = "z", value = 1`, "the key \"a\" stands there twice"},
		{"a: [\n", `key = "z", value = 1`, "it is not YAML"},
		{"a: 1\n---\nb: 1\n", `key = "z", value = 1`, "several documents"},
		{"\ufeffa: 1\n", `key = "z", value = 1`, "byte order mark"},
		{"a: \xff\n", `key = "z", value = 1`, "not plain UTF-8"},
		{"a: 1\rb: 1\n", `key = "z", value = 1`, "carriage return"},
		{"[a]: 1\n", `key = "z", value = 1`, "no text"},
		{yamlConfig, `key = "c.x", value = 2`, "goes through the alias *anchor"},
		{yamlConfig, `key = "c.n", value = 2`, "is the alias *anchor"},
		{yamlConfig, `key = "a.x", value = 2`, "would change more than that"},
		{"a: one\n  two\n", `key = "a", value = 2`, "write it on one line"},
		{"a: !vault x\n", `key = "a", value = 2`, "has a tag or an anchor"},
		{"a: &x [1]\nb: *x\n", `key = "a", value = 2`, "has a tag or an anchor"},
		{"a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", `key = "z", value = 1`, "its aliases stand for more"},
	} {
		f := newEdited(c.before)
		err := f.edit(t, `yaml("F", `+c.call+`)`)
		if err == nil || !strings.Contains(err.Error(), c.want) || f.writes > 0 {
			t.Errorf("%q with %s: %v, want %q", c.before, c.call, err, c.want)
		}
	}
}

func TestYAMLLaws(t *testing.T) {
	newLocal(t).documentLaws("yaml", "b:\n  c:\n    - x\n    - \"y\"\npassword: hush hush\n")
}

// Whatever the document: an edit gives exactly the wanted document or is refused, settles, keeps the comments above and below it, and an
// addition loses nothing.
func FuzzYAML(f *testing.F) {
	for _, e := range yamlTable {
		if e.before != "-" {
			for op := range uint8(4) {
				f.Add(e.before, "a.x", "v", op)
				f.Add(e.before, "b.0", "yes", op)
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
		root, err := parseYAMLTree([]byte(before))
		if err != nil {
			t.Skip()
		}
		changes, wanted, err := e.resolve(root)
		if err != nil {
			t.Skip()
		}
		format := documentFormat{parseYAMLTree, changeYAML}
		after, err := e.apply([]byte(before), format)
		if err != nil {
			t.Skip()
		}
		if got, err := parseYAMLTree(after); err != nil || !reflect.DeepEqual(got, wanted) {
			t.Fatalf("%q became %q, %v", before, after, err)
		}
		if again, err := e.apply(after, format); err != nil || string(again) != string(after) {
			t.Fatalf("%q became %q and then %q, %v", before, after, again, err)
		}
		if len(changes) == 1 && changes[0].op > removeValue && !subsequence(before, string(after)) {
			t.Fatalf("%q became %q, which lacks some of it", before, after)
		}
	})
}
