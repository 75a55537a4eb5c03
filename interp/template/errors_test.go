package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// failures: the error of a source, with its position.
var failures = []struct{ src, vars, want string }{
	// names
	{"a\nb\nlisten {{   nme }}", "{'name': 1}", "t.j2:3:13: undefined: nme (did you mean name?)"},
	{"a\r\nb\r\nlisten {{ nme }}\r\n", "{'name': 1}", "t.j2:3:11: undefined: nme (did you mean name?)"},
	{"é€😀 {{ nme }}", "{'name': 1}", "t.j2:1:8: undefined: nme (did you mean name?)"},
	{"\t{{ zzzzzz }}", "{'name': 1}", "t.j2:1:5: undefined: zzzzzz"},
	{"{{ rnage(3) }}", "", "t.j2:1:4: undefined: rnage (did you mean range?)"},
	{"{% set port = 1 %}{{ prot }}", "", "t.j2:1:22: undefined: prot (did you mean port?)"},
	{"{{ a }}{{ b }}{{ a }}", "", "t.j2:1:4: undefined: a\nt.j2:1:11: undefined: b"},
	{"{% for x in [1] %}{% endfor %}{{ x }}", "", "t.j2:1:34: undefined: x"},
	{"{% if false %}{{ nme }}{% endif %}", "{'name': 1}", "t.j2:1:18: undefined: nme (did you mean name?)"},
	{"{% if false %}{% set x = 1 %}{% endif %}{{ x }}", "", "t.j2:1:44: undefined: x (it is set, but not on the way here)"},
	{"{{ x | upper | default('y') }}", "", "t.j2:1:4: undefined: x"},
	{"{{ a[nme] | default('y') }}", "{'a': {}}", "t.j2:1:6: undefined: nme"},
	{"{{ x if y is defined else 1 }}", "", "t.j2:1:4: undefined: x"},
	{"{% if x is defined %}{% endif %}{{ x }}", "", "t.j2:1:36: undefined: x"},
	{"{{ loop.index }}", "", "t.j2:1:4: undefined: loop"},
	// access
	{"{{ d.ip }}", "{'d': {'ipv4': 1}}", "t.j2:1:6: the dict has no key \"ip\""},
	{"x\n {{ d.ports[0].nmae }}", "{'d': {'ports': [{'name': 1}]}}", "t.j2:2:16: the dict has no key \"nmae\" (did you mean name?)"},
	{"{{ d['prot'] }}", "{'d': {'port': 1}}", "t.j2:1:5: the dict has no key \"prot\" (did you mean port?)"},
	{"{{ l[5] }}", "{'l': [1]}", "t.j2:1:5: index 5 is out of range: the list has 1 items"},
	{"{{ 'x'.uper() }}", "", "t.j2:1:8: a string has no attribute uper (did you mean upper?)"},
	{"{{ l.append(1) }}", "{'l': []}", "t.j2:1:6: a template cannot change values: there is no .append here; bind a new value with set, or use a namespace"},
	{"{{ n.x }}", "{'n': None}", "t.j2:1:6: None has no attribute x"},
	{"{{ 5[0] }}", "", "t.j2:1:5: an int has no items"},
	{"{{ 5() }}", "", "t.j2:1:4: an int cannot be called"},
	// values
	{"{{ x }}", "{'x': None}", "t.j2:1:4: this is None, which is never printed: give it another value with | default(...), or ask with `is none`"},
	{"{{ d.get('x') }}", "{'d': {}}", "t.j2:1:6: this is None, which is never printed: give it another value with | default(...), or ask with `is none`"},
	{"{{ 'a' + 1 }}", "", "t.j2:1:8: cannot add an int to a string: join them with ~"},
	{"{{ 'a' ~ none }}", "", "t.j2:1:8: want a text or number, got None"},
	{"{{ 1 // 0 }}", "", "t.j2:1:6: floored division by zero"},
	{"{{ 1 < 'a' }}", "", "t.j2:1:6: int < string not implemented"},
	{"{% for c in 'abc' %}{% endfor %}", "", "t.j2:1:13: a string is not a list: use | list or .elems() for its characters, | split for its parts"},
	{"{% for a, b in [1] %}{% endfor %}", "", "t.j2:1:4: an int is not a list"},
	{"{% for a, b in [(1, 2, 3)] %}{% endfor %}", "", "t.j2:1:4: cannot bind 3 values to 2 names"},
	{"{% set x = 1 %}{% set x.y = 2 %}", "", "t.j2:1:23: cannot set .y of an int: only a namespace(...) can be changed"},
	// filters and tests
	{"{{ 'x' | uper }}", "", "t.j2:1:10: unknown filter: uper (did you mean upper?)"},
	{"{{ ['x'] | map('uper') | list }}", "", "t.j2:1:16: unknown filter: uper (did you mean upper?)"},
	{"{{ [1] | select('od') | list }}", "", "t.j2:1:17: unknown test: od (did you mean odd?)"},
	{"{{ 1 is definde }}", "", "t.j2:1:9: unknown test: definde (did you mean defined?)"},
	{"{{ [1] | random }}", "", "t.j2:1:10: there is no filter random: rendering is deterministic"},
	{"{{ 'x' | indent(widht = 2) }}", "", "t.j2:1:17: unknown argument widht (did you mean width?): the usage is indent(width?, first?, blank?)"},
	{"{{ 'x' | upper(1) }}", "", "t.j2:1:16: too many arguments: the usage is upper()"},
	{"{{ 'x' | replace('a') }}", "", "t.j2:1:10: missing argument new: the usage is replace(old, new, count?)"},
	{"{{ [1] | map(x) }}", "{'x': 'upper'}", "t.j2:1:14: map wants the name of a filter in quotes"},
	{"{{ 'x' | int }}", "", "t.j2:1:10: int: the text is not a whole number: \"x\""},
	{"{{ [] | upper }}", "", "t.j2:1:9: upper: want a text or number, got a list"},
	{"{{ [] | first }}", "", "t.j2:1:9: first: the list is empty"},
	{"{{ ['a', none] | join }}", "", "t.j2:1:18: join: item 2: want a text or number, got None"},
	{"{{ 'maybe' | bool }}", "", "t.j2:1:14: bool: want yes, no, on, off, true, false, 1 or 0, got \"maybe\""},
	{"{{ 'x' | regex_replace('(') }}", "", "t.j2:1:10: regex_replace: error parsing regexp: missing closing ): `(`"},
	{"{{ [1, 'a'] | sort }}", "", "t.j2:1:15: sort: string < int not implemented"},
	// syntax
	{"{{ 1 + }}", "", "t.j2:1:8: unexpected the end of the tag: want an expression"},
	{"a\n{{ 'x }}", "", "t.j2:2:4: this string is never closed: missing '"},
	{"a\n{{ x", "", "t.j2:2:1: this tag is never closed: missing }}"},
	{"{# x", "", "t.j2:1:1: this comment is never closed: missing #}"},
	{"{% raw %}", "", "t.j2:1:1: this raw block is never closed: missing {% endraw %}"},
	{"x\n{% if true %}\ny", "", "t.j2:2:4: this if is never closed: missing {% endif %}"},
	{"{% for x in [] %}{% endif %}", "", "t.j2:1:21: unexpected endif: the for of line 1 wants else, endfor"},
	{"{% endif %}", "", "t.j2:1:4: unexpected endif: no if is open"},
	{"{% esle %}", "", "t.j2:1:4: unknown tag: esle (did you mean else?)"},
	{"{% extends 'x' %}", "", "t.j2:1:4: there is no extends: templates are put together with include and macro"},
	{"{{ 1 < 2 < 3 }}", "", "t.j2:1:10: comparisons do not chain: write a < b and b < c"},
	{"{{ 1 if true }}", "", "t.j2:1:14: an inline if wants an else: x if condition else y"},
	{"{{ 2 ** 3 }}", "", "t.j2:1:6: there is no ** operator: use x | pow(y)"},
	{"{{ a ! }}", "", "t.j2:1:6: unexpected character '!'"},
	{"{{ (1] }}", "", "t.j2:1:6: unexpected \"]\": it does not close \"(\""},
	{"{{ '\\1' }}", "", `t.j2:1:5: \1 is ambiguous: write \\1 for a group of a regular expression, \x01 for the byte`},
	{"{{ 017 }}", "", "t.j2:1:4: this is not a number: \"017\" (octal numbers are written 0o17)"},
	{"{{ 1x }}", "", "t.j2:1:4: this is not a number: \"1x\""},
	{"{% set if = 1 %}", "", "t.j2:1:8: unexpected \"if\": want the name of a variable"},
	{"{{ f(a = 1, 2) }}", "{'f': len}", "t.j2:1:13: a positional argument cannot follow a named one"},
	{"#jinja2: lstrip_block: True\n", "", "t.j2:1:10: the #jinja2: line knows trim_blocks and lstrip_blocks, not \"lstrip_block\" (did you mean lstrip_blocks?)"},
	// macros and includes
	{"{% macro m(a) %}{{ a }}{% endmacro %}\n{{ m() }}", "", "t.j2:2:4: m: missing argument a"},
	{"{% macro m(a) %}{{ a.b }}{% endmacro %}\n{{ m({}) }}", "", "t.j2:1:22: the dict has no key \"b\""},
	{"{% macro m(name) %}{% endmacro %}{{ m(nme = 1) }}", "", "t.j2:1:37: m: unknown argument nme (did you mean name?)"},
	{"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "", "t.j2:1:19: calls are nested too deeply: more than 100"},
	{"{% include 'x' %}", "", "t.j2:1:12: include \"x\": no files can be included here"},
	{"{% include x %}", "{'x': 'a'}", "t.j2:1:12: include wants a path in quotes: the files of a template must be known before it is rendered"},
}

func TestErrors(t *testing.T) {
	for _, f := range failures {
		got, err := render(t, f.src, f.vars, Options{})
		if err == nil {
			t.Errorf("%q: got %q, want the error\n%s", f.src, got, f.want)
			continue
		}
		if err.Error() != f.want {
			t.Errorf("%q:\n got %s\nwant %s", f.src, err, f.want)
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %T is no *Error", f.src, err)
		} else if lines := strings.Split(strings.ReplaceAll(f.src, "\r\n", "\n"), "\n"); e.Source != lines[e.Line-1] {
			t.Errorf("%q: the source line is %q, want %q", f.src, e.Source, lines[e.Line-1])
		}
	}
}

// files is a Loader over a map.
func files(m map[string]string) Loader {
	return func(name string) ([]byte, error) {
		if s, ok := m[name]; ok {
			return []byte(s), nil
		}
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
}

func TestInclude(t *testing.T) {
	load := files(map[string]string{
		"conf/a.j2":        "A{{ x }}{% set x = 'in' %}{{ x }}\n",
		"conf/sub/b.j2":    "B{% include '../c.j2' %}",
		"conf/c.j2":        "C{{ loop.index }}",
		"conf/bad.j2":      "ok\n  {{ nme }}",
		"conf/late.j2":     "\n{{ d.k }}",
		"conf/cycle.j2":    "{% include 'sub/back.j2' %}",
		"conf/sub/back.j2": "\n{% include '../cycle.j2' %}",
		"conf/syntax.j2":   "x\n{{ 1 + }}",
		"/abs.j2":          "abs",
	})
	for _, c := range []struct{ src, want, fail string }{
		{"{% include 'a.j2' %}{{ x }}", "Ao" + "in\n" + "o", ""},
		{"{% for i in [1, 2] %}{% include 'sub/b.j2' %}{% endfor %}", "BC1BC2", ""},
		{"{% include 'none.j2' ignore missing %}x", "x", ""},
		{"{% include ['none.j2', '/abs.j2'] %}", "abs", ""},
		{"{% if nme is defined %}{% include 'bad.j2' %}{% endif %}x", "x", ""},
		{"{% include 'none.j2' %}", "", `conf/t.j2:1:12: include "none.j2": open conf/none.j2: file does not exist`},
		{"{% include 'bad.j2' %}", "", "conf/bad.j2:2:6: undefined: nme"},
		{"{% include 'late.j2' %}", "", `conf/late.j2:2:6: the dict has no key "k"`},
		{"{% include 'syntax.j2' %}", "", "conf/syntax.j2:2:8: unexpected the end of the tag: want an expression"},
		{"{% include 't.j2' %}", "", "conf/t.j2:1:12: include cycle: conf/t.j2 -> conf/t.j2"},
		{"{% include 'cycle.j2' %}", "", "conf/sub/back.j2:2:12: include cycle: conf/cycle.j2 -> conf/sub/back.j2 -> conf/cycle.j2"},
	} {
		v := vars(t, "{'x': 'o', 'd': {}}")
		tmpl, err := Compile("conf/t.j2", []byte(c.src), v.Keys(), Options{Load: load})
		got := ""
		if err == nil {
			got, err = tmpl.Render(context.Background(), v)
		}
		switch {
		case c.fail != "" && (err == nil || err.Error() != c.fail):
			t.Errorf("%s:\n got %q, %v\nwant %s", c.src, got, err, c.fail)
		case c.fail == "" && (err != nil || got != c.want):
			t.Errorf("%s:\n got %q, %v\nwant %q", c.src, got, err, c.want)
		}
	}
	_, err := Compile("conf/t.j2", []byte("{% include 'none.j2' %}"), nil, Options{Load: load})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error of the loader is lost: %v", err)
	}
}

func TestNames(t *testing.T) {
	src := "{{ b }}{{ a.x }}{% set c = 1 %}{{ c }}{{ o | default(1) }}{% if p is defined %}{{ p }}{% endif %}{{ len(b) }}{% include 'i' %}"
	tmpl, err := Compile("t", []byte(src), nil, Options{Load: files(map[string]string{"i": "{{ z }}"})})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tmpl.Names(), tmpl.Includes()); got != "[a b z] [i]" {
		t.Errorf("got %s", got)
	}
	if err := tmpl.Check([]string{"a", "b", "z"}); err != nil {
		t.Error(err)
	}
	if _, err := tmpl.Render(context.Background(), vars(t, "{'a': 1, 'b': []}")); err == nil || err.Error() != "i:1:4: undefined: z" {
		t.Errorf("render without z: %v", err)
	}
}
