package template

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// TestBombs renders templates that ask for more than any machine has. Each must fail, soon, with a position.
func TestBombs(t *testing.T) {
	double := func(first, next string, n int) string {
		return "{% set x = " + first + " %}" + strings.Repeat("{% set x = "+next+" %}", n)
	}
	for _, c := range []struct{ src, want string }{
		{"{% for i in range(1000000000) %}{% endfor %}", "too many steps"},
		{"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "too many steps"},
		{"{{ list(range(10000000000)) }}", ""},
		{"{{ [1 for a in range(100000) for b in range(100000)] }}", "too many steps"},
		{"{{ 'a' * 1000000000 }}", "too large"},
		{"{{ [0] * 1000000000 }}", "too many steps"},
		{"{{ [0] * 1000000000000000000000000 }}", "too many steps"},
		{double("'aaaaaaaaaa'", "x ~ x", 40), "too large"},
		{double("'aaaaaaaaaa'", "x + x", 40), "too large"},
		{double("[1]", "x + x", 40), "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ x }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ x | to_json }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ x | to_yaml | length }}", "too"},
		{double("[1]", "[x, x]", 60) + "{{ x == [x, x][0:1] }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ '%s' % [x] }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ '{}'.format(x) }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ str(x) }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ x | flatten }}", "too many steps"},
		{double("[1]", "[x, x]", 60) + "{{ f(x) }}", "too many steps"},
		{double("(1,)", "(x, x)", 60) + "{{ {x: 1} }}", "too many steps"},
		{double("(1,)", "(x, x)", 60) + "{{ [x, x] | unique }}", "too many steps"},
		{double("(1,)", "(x, x)", 60) + "{{ dict([(x, 1)]) }}", "too many steps"},
		{double("(1,)", "(x, x)", 60) + "{{ {}.get(x) }}", "too many steps"},
		{double("[1]", "[x]", 5000) + "{{ x }}", "nested too deeply"},
		{double("7", "x * x", 40), "too large"},
		{double("'<'", "x.replace('<', '<<<<<<<<<<<<<<<<')", 20), "too large"},
		{double("'<'", "x | replace('<', '<<<<<<<<<<<<<<<<')", 20), "too large"},
		{double("'<'", "x | regex_replace('<', '<<<<<<<<<<<<<<<<')", 20), "too many matches"},
		{double("'\"'", "x | to_json", 60), "too large"},
		{"{{ ('\\n' * 1000000) | indent(10000, true, true) }}", "too large"},
		{double("'a'", "x.join([x, x, x])", 40), "too large"},
		{double("'a'", "'{0}{0}{0}'.format(x)", 40), "too large"},
		{double("'a'", "'%s%s' % (x, x)", 60), "too large"},
		{"{% set ns = namespace(x = 1) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}", "nested too deeply"},
		{"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "nested too deeply"},
		{"{% set f = lambda f, n: f(f, n) + f(f, n) %}{{ f(f, 1) }}", "nested too deeply"},
		{"{% for i in range(100000) %}" + strings.Repeat("x", 1000) + "{% endfor %}", "too large"},
		{"{{ 'x' | center(100000000) }}", "too large"},
		{"{{ '%1000000000d' % 1 }}", "too large"},
		{"{{ 2 | pow(100000000) }}", "too large"},
		{"{{ loop_forever() }}", "too many steps"},
		{"{{ " + strings.Repeat("(", 100000) + strings.Repeat(")", 100000) + " }}", "nested too deeply"},
		{"{{ " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + " }}", "nested too deeply"},
		{"{{ " + strings.Repeat("-", 100000) + "1 }}", "nested too deeply"},
		{"{{ " + strings.Repeat("not ", 60000) + "1 }}", "nested too deeply"},
		{"{{ " + strings.Repeat("lambda:", 30000) + "1 }}", "nested too deeply"},
		{"{{ " + strings.Repeat("1 if 1 else ", 20000) + "1 }}", "nested too deeply"},
		{"{{ 1" + strings.Repeat("+1", 100000) + " }}", "too long"},
		{"{{ f" + strings.Repeat(".a", 100000) + " }}", "too long"},
		{"{{ 1" + strings.Repeat("|abs", 50000) + " }}", "too long"},
		{"{{ 1" + strings.Repeat(" or 1", 50000) + " }}", "too long"},
		{strings.Repeat("{% if 1 %}", 20000), "nested too deeply"},
		{strings.Repeat("{% for x in [] %}", 15000), "nested too deeply"},
		{strings.Repeat("{% macro m() %}", 15000), "nested too deeply"},
		{strings.Repeat("x", maxSource+1), "too large"},
	} {
		v := vars(t, "{'f': lambda x: str(x), 'loop_forever': lambda: [x for x in range(1 << 30)]}")
		start := time.Now()
		tmpl, err := Compile("t.j2", []byte(c.src), nil, Options{})
		if err == nil {
			_, err = tmpl.Render(context.Background(), v)
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: got %v, want *Error with %q", c.src, err, c.want)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%.80q took %v", c.src, d)
		}
	}
}

// TestManyNames compiles a template of thousands of names, which must not cost the square of them.
func TestManyNames(t *testing.T) {
	var b strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&b, "{%% set a%d = b%d %%}", i, i)
	}
	start := time.Now()
	_, err := Compile("t.j2", []byte(b.String()), []string{}, Options{})
	if n := strings.Count(fmt.Sprint(err), "undefined"); n != maxReports {
		t.Errorf("%d names reported, want %d", n, maxReports)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestIncludeBomb(t *testing.T) {
	load := func(name string) ([]byte, error) {
		return []byte("{% include '" + name + "x' %}{% include '" + name + "y' %}"), nil
	}
	_, err := Compile("a", []byte("{% include 'b' %}"), nil, Options{Load: load})
	if err == nil || !strings.Contains(err.Error(), "too") {
		t.Errorf("got %v", err)
	}
}

func TestMaxSteps(t *testing.T) {
	tmpl, err := Compile("t.j2", []byte("{% for i in range(50) %}{{ i }}{% endfor %}"), nil, Options{MaxSteps: 100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Render(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "more than 100") {
		t.Errorf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	tmpl, err := Compile("t.j2", []byte("{% for i in range(1000) %}{{ stop() if i == 5 else '' }}{% for j in range(10000) %}{% endfor %}{% endfor %}"), nil, Options{MaxSteps: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop := starlark.NewBuiltin("stop", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		cancel()
		return starlark.String(""), nil
	})
	_, err = tmpl.Render(ctx, starlark.StringDict{"stop": stop})
	var e *Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
	if _, err := tmpl.Render(ctx, starlark.StringDict{"stop": stop}); !errors.Is(err, context.Canceled) {
		t.Errorf("a render with an ended context: %v", err)
	}
}

// TestConcurrent renders one template from many goroutines over the same values, which are not frozen: under the race
// detector this shows that neither is written to.
func TestConcurrent(t *testing.T) {
	src := `{% macro m(x) %}<{{ x }}>{% endmacro %}{% for k, v in d.items() | sort %}{{ k }}={{ v | join(',') }} {{ m(loop.index) }}{% endfor %}
{% for x in l %}{{ x.n }}{% endfor %}{{ l | map(attribute = 'n') | sum }}{{ l | selectattr('n', 'odd') | list | to_json }}{{ d | combine({'z': [9]}) | to_yaml }}{{ [x.n for x in l] | sort }}{{ t | upper }}{{ sorted(l2) }}{{ 2 in l2 }}{{ l2 == l2[:] }}{{ ','.join(d) }}{{ list(zip(l2, d)) }}{{ dict(d) }}{{ dict([l2]) }}{{ dict(pairs) }}{{ max(l2) }}{{ any(l2) }}{{ l2.index(2) }}{{ d.get('a') }}{% for x in l2 %}{{ x }}{% endfor %}{{ reversed(l2) }}{{ l2 + l2 }}`
	v := vars(t, "{'d': {'b': [1, 2], 'a': [3]}, 'l': [{'n': 1}, {'n': 2}], 't': 'x', 'l2': [2, 1], 'pairs': [[1, 2]]}")
	tmpl, err := Compile("t.j2", []byte(src), v.Keys(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := v.String()
	want, err := tmpl.Render(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := tmpl.Render(context.Background(), v); err != nil || got != want {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if v.String() != before {
		t.Errorf("the vars were changed: %s", v)
	}
}

// secret is an opaque value such as the rest of the program hands in.
type secret struct{ starlark.Value }

func (secret) String() string { return "<<token>>" }
func (secret) Type() string   { return "secret" }

func TestOpaque(t *testing.T) {
	v := starlark.StringDict{"s": secret{starlark.None}}
	encode := func(filter, text string) (string, bool, error) {
		if strings.Contains(text, "<<token>>") {
			return "<<" + filter + ":" + text + ">>", true, nil
		}
		return "", false, nil
	}
	for _, c := range []struct{ src, want, fail string }{
		{"{{ s }} {{ 'a' ~ s }} {{ [s] | join }} {{ s | default('x') }}", "<<token>> a<<token>> <<token>> <<token>>", ""},
		{"{{ s | b64encode }}", "<<b64encode:<<token>>>>", ""},
		{"{{ 'u:' ~ s | quote }}", "u:<<quote:<<token>>>>", ""},
		{"{{ {'k': s, 'l': 'x' ~ s} | to_json }}", `{"k": <<to_json:<<token>>>>, "l": <<to_json:x<<token>>>>}`, ""},
		{"{{ {'k': s} | to_yaml }}", `k: <<to_json:<<token>>>>`, ""},
		{"{{ s | sha256 }} {{ 'a' | quote }}", "<<sha256:<<token>>>> a", ""},
	} {
		tmpl, err := Compile("t.j2", []byte(c.src), v.Keys(), Options{Encode: encode})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(context.Background(), v)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", c.src, got, err, c.want)
		}
	}
	tmpl, err := Compile("t.j2", []byte("{{ s | quote }}"), v.Keys(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Render(context.Background(), v); err == nil || err.Error() != "t.j2:1:8: quote: a secret cannot be encoded" {
		t.Errorf("an opaque value without Encode: %v", err)
	}
}

type unknown struct{ starlark.Value }

var errUnknown = errors.New("unknown because of step 12")

func (unknown) TemplateText() (string, error) { return "", errUnknown }
func (unknown) Type() string                  { return "unknown" }

func TestTexter(t *testing.T) {
	tmpl, err := Compile("t.j2", []byte("\n{{ u }}"), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Render(context.Background(), starlark.StringDict{"u": unknown{starlark.True}})
	if !errors.Is(err, errUnknown) || err.Error() != "t.j2:2:4: unknown because of step 12" {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRender(b *testing.B) {
	src := "server {\n  listen {{ port }};\n{% for s in servers %}\n  server {{ s.name | lower }}:{{ s.port }};{{ ' # first' if loop.first else '' }}\n{% endfor %}\n}\n"
	v := vars(b, "{'port': 80, 'servers': [{'name': 'A', 'port': 1}, {'name': 'B', 'port': 2}, {'name': 'C', 'port': 3}]}")
	tmpl, err := Compile("t.j2", []byte(src), v.Keys(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Render(context.Background(), v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	src := []byte("server {\n  listen {{ port }};\n{% for s in servers %}\n  server {{ s.name | lower }}:{{ s.port }};\n{% endfor %}\n}\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("t.j2", src, nil, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzTemplate wants no panic, no hang, and an error that is always an *Error.
func FuzzTemplate(f *testing.F) {
	for _, s := range append(snippets, filterSnippets...) {
		f.Add(s.src)
	}
	for _, s := range failures {
		f.Add(s.src)
	}
	for _, w := range whitespace {
		f.Add(w.src)
	}
	v := starlark.StringDict{"x": starlark.NewList([]starlark.Value{starlark.MakeInt(1), starlark.String("a")}), "d": starlark.NewDict(1), "l": starlark.NewList(nil)}
	f.Fuzz(func(t *testing.T, src string) {
		tmpl, err := Compile("t.j2", []byte(src), nil, Options{MaxSteps: 20000, Load: files(map[string]string{"x": "{{ x }}"})})
		if err == nil {
			_, err = tmpl.Render(context.Background(), v)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Col < 1) {
			t.Errorf("%T: %v", err, err)
		}
	})
}
