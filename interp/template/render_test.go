package template

import (
	"context"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// snippets are the language by example. Vars are written in Starlark; most of the results were compared with those of
// Jinja2 3.1, and those that differ on purpose say so.
var snippets = []struct{ src, vars, want string }{
	// printing
	{"", "", ""},
	{"plain\n", "", "plain\n"},
	{"a {{ x }} b", "{'x': 1}", "a 1 b"},
	{"{{x}}", "{'x': 'é<&'}", "é<&"},
	{"{{ 1, 2 }}", "", "(1, 2)"},
	{"{{ true }} {{ True }} {{ false }}", "", "True True False"},
	{"{{ 1.5 }} {{ 2.0 }} {{ 1_000 }} {{ 0xff }}", "", "1.5 2.0 1000 255"},
	{"{{ 'a\"b' }}{{ \"it's\" }}", "", "a\"bit's"},
	{"{{ 'a\\n\\tb\\\\' }}", "", "a\n\tb\\"},
	{"{{ '\\.x' }}", "", "\\.x"},
	{"{{ r'\\1' }}", "", "\\1"}, // Starlark
	{"{{ '\\u00e9\\x41' }}", "", "éA"},
	{"{{ '}}' }}{{ '%}' }}", "", "}}%}"},
	{"{{ {'a': {'b': 1}}['a']['b'] }}", "", "1"},
	{"{{ x }}", "{'x': [1, 'a', None]}", `[1, "a", None]`}, // Jinja prints 'a'
	{"{{ x }}", "{'x': {'a': 1, 'b': (2,)}}", `{"a": 1, "b": (2,)}`},
	{"{# gone #}x{# {{ not }} {% seen %} #}", "", "x"},
	{"{ { x } } {% raw %}{{ x }}{% endraw %}", "", "{ { x } } {{ x }}"},
	{"{% raw -%}  {% if %} {%- endraw %}!", "", "{% if %}!"},
	{"$ {x} % } }", "", "$ {x} % } }"},
	// operators
	{"{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ -2 + 1 }}", "", "7 9 -1"},
	{"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ -7 % 3 }}", "", "3 -4 3.5 1 2"},
	{"{{ 'a' ~ 1 ~ 2.5 ~ true }}", "", "a12.5True"},
	{"{{ 1 ~ 2 + 3 ~ 4 }}", "{}", "1234"},
	{"{{ 'a' + 'b' }} {{ 'ab' * 2 }} {{ [1] + [2] }}", "", "ab abab [1, 2]"},
	{"{{ 1 < 2 }} {{ 1 == 1.0 }} {{ 'a' != 'b' }} {{ 2 >= 3 }}", "", "True True True False"},
	{"{{ 1 in [1, 2] }} {{ 3 not in [1] }} {{ 'a' in 'cat' }} {{ 'k' in d }}", "{'d': {'k': 0}}", "True True True True"},
	{"{{ not true }} {{ not 0 and 1 }} {{ 0 or 'x' }} {{ '' and 1 }}|", "", "False 1 x |"},
	{"{{ 'yes' if x else 'no' }}", "{'x': []}", "no"},
	{"{{ 1 if false else 2 if false else 3 }}", "", "3"},
	{"{{ '%s-%s' % ('a', 1) }} {{ '%05.1f|%-4d|%x' % (3.14159, 7, 255) }}", "", "a-1 003.1|7   |ff"},
	{"{{ '%(a)s%%' % d }}", "{'d': {'a': 5}}", "5%"},
	{"{{ 6 ^ 3 }} {{ 6 & 3 }} {{ 1 << 4 }} {{ ~1 }}", "", "5 2 16 -2"}, // Starlark
	{"{{ -1 | abs }} {{ 2 - 5 | abs }}", "", "1 -3"},
	{"{{ 'a' ~ 'b' | upper }} {{ ('a' ~ 'b') | upper }}", "", "aB AB"},
	// access
	{"{{ d.a }} {{ d['a'] }} {{ d.b.c }} {{ l[0] }} {{ l[-1] }}", "{'d': {'a': 1, 'b': {'c': 2}}, 'l': [3, 4]}", "1 1 2 3 4"},
	{"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{'d': {'z': 1, 'a': 2}}", "z=1;a=2;"},
	{"{{ d.keys() | list }} {{ d.values() | sum }}", "{'d': {'z': 1, 'a': 2}}", `["z", "a"] 3`},
	{"{{ d['items'] }} {{ d.update }}", "{'d': {'items': 1, 'update': 2}}", "1 2"},
	{"{{ 'a,b'.split(',')[1] }} {{ 'x'.upper() }} {{ 'abc'.startswith('ab') }}", "", "b X True"},
	{"{{ l[1:] }} {{ l[:1] }} {{ l[::-1] }} {{ 'hello'[1:3] }} {{ l[:-1] }} {{ l[5:] }}", "{'l': [1, 2, 3]}", "[2, 3] [1] [3, 2, 1] el [1, 2] []"},
	{"{{ s.name }}", "{'s': struct(name = 'n')}", "n"},
	{"{{ 'x-{}-{b}'.format(1, b = 2) }}", "", "x-1-2"},
	{"{{ f(2) }} {{ f(x = 3) }}", "{'f': lambda x: x * 2}", "4 6"},
	// Starlark expressions
	{"{{ [x * 2 for x in l if x > 1] }}", "{'l': [1, 2, 3]}", "[4, 6]"},
	{"{{ {k: v for k, v in [('a', 1)]} }}", "", `{"a": 1}`},
	{"{{ [(a, b) for a in [1, 2] for b in [a]] }}", "", "[(1, 1), (2, 2)]"},
	{"{{ sorted(l, key = lambda x: -x) }}", "{'l': [1, 3, 2]}", "[3, 2, 1]"},
	{"{{ (lambda a, b = 2: a + b)(1) }}", "", "3"},
	{"{{ [f(i) for i in range(3)] }}", "{'f': lambda x: x}", "[0, 1, 2]"},
	{"{{ range(3) | list }} {{ range(1, 6, 2) | list }} {{ len('é') }}", "", "[0, 1, 2] [1, 3, 5] 2"},
	{"{{ max(1, 3) }} {{ min([2, 1]) }} {{ str(1) + repr('a') }} {{ any([0, 1]) }}", "", `3 1 1"a" True`},
	{"{{ dict(a = 1).a }} {{ list(enumerate(['x'])) }} {{ int('7') }}", "", `1 [(0, "x")] 7`},
	// if
	{"{% if x %}a{% elif y %}b{% else %}c{% endif %}", "{'x': 0, 'y': 1}", "b"},
	{"{% if x %}a{% elif y %}b{% else %}c{% endif %}", "{'x': 0, 'y': ''}", "c"},
	{"{% if x is defined %}{{ x }}{% else %}none{% endif %}", "", "none"},
	{"{% if x is not defined or x == 1 %}a{% else %}b{% endif %}", "", "a"},
	{"{% if x is defined and x.y == 1 %}a{% else %}b{% endif %}", "", "b"},
	{"{% if not (x is defined) %}a{% else %}{{ x }}{% endif %}", "", "a"},
	{"{% if x is undefined %}a{% elif x %}{{ x }}{% else %}c{% endif %}", "", "a"},
	{"{{ x if x is defined else 'd' }}", "", "d"},
	// for
	{"{% for x in [1, 2] %}{{ x }},{% endfor %}", "", "1,2,"},
	{"{% for x in 1, 2 %}{{ x }},{% endfor %}", "", "1,2,"},
	{"{% for x in [] %}{{ x }}{% else %}empty{% endfor %}", "", "empty"},
	{"{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{'l': [1, 2, 3]}", "1/2:2 2/2:3 "},
	{"{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}", "{'l': [1]}", "none"},
	{"{% for x in 'ab' | list %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}", "", "0TrueFalse21 1FalseTrue10 "},
	{"{% for x in [1, 2, 3] %}{{ loop.previtem | default('-') }}{{ loop.nextitem | default('-') }} {% endfor %}", "", "-2 13 2- "},
	{"{% for x in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "", "aba"},
	{"{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}", "", "True False True "},
	{"{% for x in [1, 2] %}{% set o = loop %}{% for y in [1, 2] %}{{ o.index }}{{ loop.index }} {% endfor %}{% endfor %}", "", "11 12 21 22 "},
	{"{% for a, (b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}", "{}", "!error"},
	{"{% for k in d %}{{ k }}{% endfor %}", "{'d': {'b': 1, 'a': 2}}", "ba"},
	{"{% for x in [1] %}{% endfor %}{{ x }}", "{'x': 'outer'}", "outer"},
	{"{{ x }}{% for x in [1] %}{{ x }}{% endfor %}{{ x }}", "{'x': 'o'}", "o1o"},
	{"{% for i in range(3) %}{% if i is even %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endif %}{% endfor %}", "", "20 21 "},
	// set and scopes
	{"{% set x = 1 %}{{ x }}", "", "1"},
	{"{% set a, b = 1, 2 %}{{ a }}{{ b }}", "", "12"},
	{"{% set x = 0 %}{% for i in [1, 2] %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "", "110"},
	{"{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "", "1"},
	{"{% if false %}{% set x = 1 %}{% endif %}{{ x }}", "{'x': 5}", "5"},
	{"{% set x = x ~ '!' %}{{ x }}", "{'x': 'a'}", "a!"},
	{"{% set x %}<{{ 1 }}>{% endset %}{{ x }}{{ x }}", "", "<1><1>"},
	{"{% set x | upper %}abc{% endset %}{{ x }}", "", "ABC"},
	{"{% set ns = namespace(n = 0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "", "6"},
	{"{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{'a': 'o'}", "12o"},
	{"{% filter upper %}a{{ 'b' }}{% endfilter %}c", "", "ABc"},
	{"{% filter replace('a', 'b') | upper %}aa{% endfilter %}", "", "BB"},
	// macros
	{"{% macro m(a, b = 2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b = 5, a = 4) }}", "", "1-2;1-3;4-5;"},
	{"{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{{ 1 }}{% endcall %}", "", "[x1]"},
	{"{% macro m(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(u) m([1, 2]) %}<{{ u }}>{% endcall %}", "", "<1><2>"},
	{"{% macro t(n) %}{{ n.v }}{% for c in n.kids %}({{ t(c) }}){% endfor %}{% endmacro %}{{ t(x) }}", "{'x': {'v': 1, 'kids': [{'v': 2, 'kids': []}]}}", "1(2)"},
	{"{% set g = 'g' %}{% macro m() %}{{ g }}{% endmacro %}{{ m() | upper }}", "", "G"},
	// tests
	{"{{ 1 is number }}{{ 'a' is string }}{{ none is none }}{{ [] is sequence }}{{ {} is mapping }}", "", "TrueTrueTrueTrueTrue"},
	{"{{ 3 is odd }}{{ 4 is divisibleby 2 }}{{ 4 is divisibleby(3) }}{{ 1 is not string }}", "", "TrueTrueFalseTrue"},
	{"{{ 1 is integer }}{{ 1.0 is float }}{{ true is boolean }}{{ 'a' is iterable }}", "", "TrueTrueTrueFalse"}, // Starlark: text is no iterable
	{"{{ 2 is eq 2 }}{{ 2 is gt 1 }}{{ 2 is le 1 }}{{ 1 is in [1] }}{{ 1 is ne 2 }}", "", "TrueTrueFalseTrueTrue"},
	{"{{ 'ab' is lower }}{{ 'AB' is upper }}{{ x is callable }}", "{'x': len}", "TrueTrueTrue"},
	{"{{ [1, 2] is contains(1) }}{{ [1] is subset([1, 2]) }}{{ [1, 2] is superset([2]) }}", "", "TrueTrueTrue"},
	{"{{ 'abc' is match('b') }}{{ 'abc' is search('b') }}{{ 'abc' is match('ab') }}", "", "FalseTrueTrue"},
	{"{{ d.x is defined }}{{ d.y.z is defined }}{{ d.x is undefined }}{{ nope is defined }}", "{'d': {'x': 1}}", "TrueFalseFalseFalse"},
	{"{{ not x is none }}{{ 1 + 1 is odd }}", "{'x': 1}", "!error"},
}

// vars evaluates a dict written in Starlark.
func vars(t testing.TB, src string) starlark.StringDict {
	t.Helper()
	d := starlark.StringDict{}
	if src == "" {
		return d
	}
	env := starlark.StringDict{"struct": starlark.NewBuiltin("struct", func(_ *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		ns := &namespaceValue{vals: map[string]starlark.Value{}}
		for _, k := range kw {
			ns.set(string(k[0].(starlark.String)), k[1])
		}
		return ns, nil
	})}
	v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, "vars", src, env)
	if err != nil {
		t.Fatalf("vars %s: %v", src, err)
	}
	for _, kv := range v.(*starlark.Dict).Items() {
		d[string(kv[0].(starlark.String))] = kv[1]
	}
	return d
}

func render(t testing.TB, src, varsSrc string, opts Options) (string, error) {
	t.Helper()
	v := vars(t, varsSrc)
	tmpl, err := Compile("t.j2", []byte(src), append([]string{}, v.Keys()...), opts)
	if err != nil {
		return "", err
	}
	return tmpl.Render(context.Background(), v)
}

func TestSnippets(t *testing.T) {
	for _, s := range append(snippets, filterSnippets...) {
		got, err := render(t, s.src, s.vars, Options{})
		if s.want == "!error" {
			if err == nil {
				t.Errorf("%s with %s: got %q, want an error", s.src, s.vars, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s with %s: %v", s.src, s.vars, err)
		} else if got != s.want {
			t.Errorf("%s with %s:\n got %q\nwant %q", s.src, s.vars, got, s.want)
		}
	}
	if n := len(snippets) + len(filterSnippets); n < 150 {
		t.Errorf("only %d snippets", n)
	}
}
