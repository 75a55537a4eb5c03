package template

import (
	"encoding/json"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSerialize reads back what the filters wrote.
func TestSerialize(t *testing.T) {
	src := `{'x': {
		'': '', 'plain': 'a b/c_d-e.f', 'on': 'off', 'y': 'n', 'Null': 'NULL', '~': '~', '1': '1', '1e3': '1_000', '0x1': '0o7', '.5': '.inf',
		'2024-01-01': '2024-01-01', '12:30': '12:30:45', 'a: b': 'a #b', '- x': '- x', '? q': '!tag', '&a': '*a', '%x': '@x', '|': '>',
		'[a]': '{a}', 'a,b': "it's", 'q"q': 'a\\b', ' lead': 'trail ', 'nl\n': '\n', 'tab\t': '\r', 'ctl': '\x01\x7f', 'uni': 'é€😀\u2028\u0085\ufeff',
		'<<': '=', '---': '...', 'int': 5, 'neg': -7, 'big': 123456789012345678, 'float': 1.5, 'exp': 1e100, 't': True, 'f': False, 'none': None,
		'list': [1, [2, [3, []], {}], {'a': {'b': ['c', {'d': 'e', 'f': ['g']}]}}, 'x y', None],
		'empty': {}, 'el': [], 'tuple': (1, 'a'), 'nested': {'k': {'l': {'m': [[1], [2]]}}},
	}}`
	want := func() any {
		out, err := render(t, "{{ x | to_json }}", src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return v
	}()
	if n := len(want.(map[string]any)); n != 41 {
		t.Errorf("to_json wrote %d entries", n)
	}
	for _, f := range []string{"to_nice_json", "to_json(sort_keys = true)", "to_json(indent = 1)"} {
		out, err := render(t, "{{ x | "+f+" }}", src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
	for _, f := range []string{"to_yaml", "to_nice_yaml(indent = 4)", "to_yaml(sort_keys = true)", "to_json", "to_yaml | indent(2, true)"} {
		out, err := render(t, "{{ x | "+f+" }}", src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := yaml.Unmarshal([]byte(out), &v); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		var got any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			for k, w := range want.(map[string]any) {
				if g := got.(map[string]any)[k]; !reflect.DeepEqual(g, w) {
					t.Errorf("%s: %q is %q, want %q", f, k, g, w)
				}
			}
			t.Errorf("%s:\n%s", f, out)
		}
	}
}
