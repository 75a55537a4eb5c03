package interp

import (
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"
)

func TestDocs(t *testing.T) {
	in := newTest(t)
	var names []string
	for _, s := range in.Docs() {
		names = append(names, s.Qualified())
	}
	if got := strings.Join(names, " "); got != "attempt boom file.line file.put note run service.reload var" {
		t.Errorf("docs of %s", got)
	}
	sig, _ := in.Doc("run")
	if sig == nil {
		t.Fatal("run has no documentation")
	}
	if got := sig.String(); got != "run(command, *, user = None, check = True, **more)" {
		t.Errorf("signature %s", got)
	}
	if sig.Summary != "Run a command." || sig.Doc != "It changes the host." || sig.Returns != "a Result" {
		t.Errorf("docstring %+v", sig)
	}
	if want := "run([\"true\"])\nrun(\"a | b\", user = \"www\")"; sig.Example != want {
		t.Errorf("example %q", sig.Example)
	}
	if p := sig.Params[1]; p.Name != "user" || p.Kind != KeywordOnly || p.Default != "None" || p.Required || p.Doc != "who runs it; root without it." {
		t.Errorf("user is %+v", p)
	}
	if p := sig.Params[0]; p.Kind != Positional || !p.Required || p.Doc != "a list, or a string for sh." {
		t.Errorf("command is %+v", p)
	}
	if p := sig.Params[3]; p.Kind != KwArgs || p.Required {
		t.Errorf("more is %+v", p)
	}
	if sig, hint := in.Doc("file.pt"); sig != nil || hint != "file.put" {
		t.Errorf("file.pt: %v, %q", sig, hint)
	}
	families := in.Families()
	if len(families) != 3 || families[0].Name != "" || families[0].Doc != "What every bundle uses." || families[1].Name != "file" || len(families[1].Functions) != 2 {
		t.Errorf("families %+v", families)
	}
	if fn := in.Function("file.put"); fn == nil || fn.Signature().Qualified() != "file.put" || in.Function("file.none") != nil {
		t.Error("functions are not found by name")
	}
}

func TestReadDoc(t *testing.T) {
	doc, err := ReadDoc("@fab//x.star", `"""Summary line.

    Text of the module,
    two lines.
"""

def f(a, b = "x  y", c = [1,
        2], *rest, d, e = {"k": (1, 2)}, **more):
    """Does.

    First paragraph.

    Args:
      a: one
      b: two: with a colon
        and more
      *rest: the others
    Errors:
      when a is wrong

    Last paragraph.
    """

def _g():
    pass

g = f

def é(x = "ä", y = 'z'):
    "Short."
`)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Summary != "Summary line." || doc.Doc != "Text of the module,\ntwo lines." || len(doc.Functions) != 2 {
		t.Errorf("%+v", doc)
	}
	f := doc.Functions[0]
	if got := f.String(); got != `f(a, b = "x  y", c = [1, 2], *rest, d, e = {"k": (1, 2)}, **more)` {
		t.Errorf("signature %s", got)
	}
	if f.Errors != "when a is wrong" || f.Doc != "First paragraph.\n\nLast paragraph." {
		t.Errorf("%+v", f)
	}
	docs := map[string]string{}
	for _, p := range f.Params {
		docs[p.Name] = p.Doc
	}
	if docs["b"] != "two: with a colon and more" || docs["rest"] != "the others" || !f.Params[4].Required {
		t.Errorf("%v %+v", docs, f.Params)
	}
	if e := doc.Functions[1]; e.String() != `é(x = "ä", y = 'z')` || e.Summary != "Short." {
		t.Errorf("%s: %s", e, e.Summary)
	}
	if _, err := ReadDoc("x.star", "def"); err == nil {
		t.Error("half a def has documentation")
	}
}

func TestPreludeDefects(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no docstring":        {map[string]string{"file.star": "def put():\n    pass\n"}, "@prelude/file.star:1:5: file.put has no docstring"},
		"public value":        {map[string]string{"file.star": "X = 1\n"}, "X is public but not a function"},
		"taken":               {map[string]string{"core.star": "def file():\n    \"\"\"F.\"\"\"\n", "file.star": ""}, `the name "file" is taken`},
		"language name taken": {map[string]string{"json.star": ""}, `the name "json" is taken`},
		"undefined":           {map[string]string{"file.star": "def put():\n    \"\"\"P.\"\"\"\n    _nativ()\n"}, "undefined: _nativ"},
		"syntax":              {map[string]string{"file.star": "def"}, "@prelude/file.star:1:4"},
		"reassigned":          {map[string]string{"file.star": "def put():\n    \"\"\"P.\"\"\"\nput = 1\n"}, "file.put is assigned something else"},
		"fails":               {map[string]string{"file.star": "fail(\"no\")\n"}, "@prelude/file.star: no"},
		"load":                {map[string]string{"a.star": "load(\"b.star\", \"x\")\n"}, "@prelude/a.star:1:1: prelude files see each other's families"},
		"no word":             {map[string]string{"a-b.star": ""}, "a word"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fstest.MapFS{}
			for f, text := range tt.files {
				m[f] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := New(Options{Prelude: m, Natives: starlark.StringDict{"_native": starlark.None}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := New(Options{Natives: starlark.StringDict{"native": starlark.None}}); err == nil {
		t.Error("a native without an underscore was taken")
	}
	if _, err := New(Options{BundleOnly: map[string]string{"x": ""}}); err == nil {
		t.Error("BundleOnly may name nothing")
	}
	if _, err := New(Options{}); err != nil {
		t.Errorf("the zero Options: %v", err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"absent", "fail", "file", "install", "present", "put", "True", "bootstrap_all"}
	for x, want := range map[string]string{
		"prsent": "present", "fil": "file", "ptu": "put", "true": "True", "inst": "install", "bootstrap-all": "bootstrap_all", "bootstrapAll": "bootstrap_all",
		"zzz": "", "": "", "x": "", "put": "", strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(x, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", x, got, want)
		}
	}
}

// TestPerHostFamily: a prelude file documents the value that each host brings along.
func TestPerHostFamily(t *testing.T) {
	o := testOptions()
	o.Prelude.(fstest.MapFS)["host.star"] = &fstest.MapFile{Data: []byte("\"\"\"The host.\"\"\"\n\ndef name():\n    \"\"\"Its name.\"\"\"\n")}
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openText(in, map[string]string{"web1.star": "print(host)\nif False:\n    host.nam\n"})
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := execText(t.Context(), b)
	if err != nil || r.calls[0] != "web1.star:1:6 print web1" {
		t.Errorf("%v, %v", r.calls, err)
	}
	if problems := b.Check(CheckOptions{}); len(problems) != 1 || !strings.Contains(problems[0].Msg, `did you mean "name"`) {
		t.Errorf("check: %v", problems)
	}
	if _, err := openText(in, map[string]string{"web1.star": "load(\"a.star\", \"a\")", "a.star": "a = host\n"}); err == nil || !strings.Contains(err.Error(), "not available in a library") {
		t.Errorf("in a library: %v", err)
	}
	if sig, _ := in.Doc("host.name"); sig == nil || sig.Summary != "Its name." {
		t.Errorf("documented as %v", sig)
	}
}
