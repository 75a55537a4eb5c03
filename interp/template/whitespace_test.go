package template

import "testing"

// whitespace holds what Jinja2 3.1 makes of each source: with trim_blocks (our default), with lstrip_blocks too, with
// neither, and with lstrip_blocks alone.
var whitespace = []struct{ src, trim, both, none, lstrip string }{
	{"{% if true %}\na\n{% endif %}\nb\n", "a\nb\n", "a\nb\n", "\na\n\nb\n", "\na\n\nb\n"},
	{"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n    b\n  c\n", "a\n  b\nc\n", "a\n  \n  b\n  \nc\n", "a\n\n  b\n\nc\n"},
	{"a {%- if true -%} b {%- endif -%} c", "abc", "abc", "abc", "abc"},
	{"a {{- 1 -}} b", "a1b", "a1b", "a1b", "a1b"},
	{"a\n{#- c -#}\nb", "ab", "ab", "ab", "ab"},
	{"a {# c #}\nb\n", "a b\n", "a b\n", "a \nb\n", "a \nb\n"},
	{"{# c #}\n\nx", "\nx", "\nx", "\n\nx", "\n\nx"},
	{"{{ 1 }}\n{{ 2 }}\n", "1\n2\n", "1\n2\n", "1\n2\n", "1\n2\n"},
	{"{% if true +%}\na{% endif %}\n", "\na", "\na", "\na\n", "\na\n"},
	{"  {%+ if true %}x{% endif %}\n", "  x", "  x", "  x\n", "  x\n"},
	{"  {% set x = 1 %}\n{{ x }}\n", "  1\n", "1\n", "  \n1\n", "\n1\n"},
	{"{% for i in [1,2] %}\n  - {{ i }}\n{% endfor %}\nend", "  - 1\n  - 2\nend", "  - 1\n  - 2\nend", "\n  - 1\n\n  - 2\n\nend", "\n  - 1\n\n  - 2\n\nend"},
	{"{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\n\nend\n", "12\nend\n", "12\nend\n", "12\n\nend\n", "12\n\nend\n"},
	{"a  \n  {%- set x = 1 %}  \nb", "a  \nb", "a  \nb", "a  \nb", "a  \nb"},
	{"x\n  {# c #}\n  y", "x\n    y", "x\n  y", "x\n  \n  y", "x\n\n  y"},
	{"  {% raw %}\n {{ x }}\n  {% endraw %}\nz", "  \n {{ x }}\n  z", "\n {{ x }}\nz", "  \n {{ x }}\n  \nz", "\n {{ x }}\n\nz"},
	{"a {%- raw -%}  r  {%- endraw -%} b", "arb", "arb", "arb", "arb"},
	{"\n\n{{ 1 }}\n\n", "\n\n1\n\n", "\n\n1\n\n", "\n\n1\n\n", "\n\n1\n\n"},
	{"{%- if true %} \n x{% endif -%}\n\n y", " \n xy", " \n xy", " \n xy", " \n xy"},
	{"\t{% if true %}\t{% endif %}\n|", "\t\t|", "\t|", "\t\t\n|", "\t\n|"},
	{"a {{ 1 -}} \n b", "a 1b", "a 1b", "a 1b", "a 1b"},
	{"{% set x %}\n a\n{% endset %}\n[{{ x }}]", "[ a\n]", "[ a\n]", "\n[\n a\n]", "\n[\n a\n]"},
	{"a\n \n  {% if true %}b{% endif %}", "a\n \n  b", "a\n \nb", "a\n \n  b", "a\n \nb"},
	{"{{ 1 }}  {% if true %}\nx\n  {% endif %}\n", "1  x\n  ", "1  x\n", "1  \nx\n  \n", "1  \nx\n\n"},
	{"a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", "a\nb\nc\n", "a\nb\nc\n", "a\n\nb\n\nc\n", "a\n\nb\n\nc\n"},
	{"x {%- if true %}{%- endif %}\n", "x", "x", "x\n", "x\n"},
	{" {%- raw %} a {% endraw %} ", " a  ", " a  ", " a  ", " a  "},
	{"{% raw %}\nx\n{% endraw %}\ny", "\nx\ny", "\nx\ny", "\nx\n\ny", "\nx\n\ny"},
}

func TestWhitespace(t *testing.T) {
	for _, w := range whitespace {
		for _, c := range []struct {
			name string
			opts Options
			want string
		}{
			{"trim", Options{}, w.trim},
			{"both", Options{LstripBlocks: true}, w.both},
			{"none", Options{NoTrimBlocks: true}, w.none},
			{"lstrip", Options{NoTrimBlocks: true, LstripBlocks: true}, w.lstrip},
		} {
			got, err := render(t, w.src, "{'x': 'x'}", c.opts)
			if err != nil || got != c.want {
				t.Errorf("%q, %s:\n got %q, %v\nwant %q", w.src, c.name, got, err, c.want)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"#jinja2: lstrip_blocks: True\n  {% if true %}\nx\n  {% endif %}\n", "x\n"},
		{"#jinja2:lstrip_blocks:True, trim_blocks:False\n  {% if true %}\nx{% endif %}\n", "\nx\n"},
		{"#jinja2: trim_blocks:False\r\n{% set x = 1 %}\r\n{{ x }}", "\n1"},
		{"#jinja2: trim_blocks:False", ""},
		{"# jinja2: no header\n", "# jinja2: no header\n"},
	} {
		if got, err := render(t, c.src, "", Options{}); err != nil || got != c.want {
			t.Errorf("%q:\n got %q, %v\nwant %q", c.src, got, err, c.want)
		}
	}
}
