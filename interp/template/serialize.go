package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.starlark.net/starlark"
)

// writer builds JSON or YAML within the limits of the run. The order of a dict is kept unless sorting is asked for.
type writer struct {
	r      *run
	b      strings.Builder
	indent string // of one level; "" writes one line
	sort   bool
}

func newWriter(r *run, a *args, indent int) (*writer, error) {
	n, err := a.int("indent", indent)
	if err == nil && (n < 0 || n > 20) {
		err = errorf("indent is 0 to 20, got %d", n)
	}
	return &writer{r: r, indent: strings.Repeat(" ", max(0, min(n, 20))), sort: a.bool("sort_keys", false)}, err
}

func filterJSON(indent int) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		w, err := newWriter(r, a, indent)
		if err != nil {
			return nil, err
		}
		err = w.json(v, 0)
		return starlark.String(w.b.String()), err
	}
}

func (w *writer) check(depth int) error {
	if depth > maxDepth {
		return errorf("this value is nested too deeply: more than %d levels", maxDepth)
	}
	if w.b.Len() > maxText {
		return w.r.grow(float64(w.b.Len()))
	}
	return w.r.charge(1)
}

// items gives the entries of a dict; its keys must be texts or numbers.
func (w *writer) items(d *starlark.Dict) ([]starlark.Tuple, error) {
	items := d.Items()
	if !w.sort {
		return items, nil
	}
	keys := make([]starlark.Value, len(items))
	for i, kv := range items {
		keys[i] = kv[0]
	}
	order, err := w.r.order(keys, false)
	if err != nil {
		return nil, err
	}
	sorted := make([]starlark.Tuple, len(items))
	for i, j := range order {
		sorted[i] = items[j]
	}
	return sorted, nil
}

// scalar writes what is one word in both languages, and says whether v was such.
func (w *writer) scalar(v starlark.Value) (bool, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		w.b.WriteString("null")
	case starlark.Bool:
		w.b.WriteString(strings.ToLower(v.String()))
	case starlark.Int:
		w.b.WriteString(v.String())
	case starlark.Float:
		if s := v.String(); strings.Trim(s, "0123456789.e+-") == "" {
			w.b.WriteString(s)
			return true, nil
		}
		return true, errorf("%s cannot be written", v)
	case *starlark.List, starlark.Tuple, *starlark.Dict, *starlark.Set:
		return false, nil
	default:
		if starlark.Len(v) >= 0 && !scalar(v) {
			return false, nil // a range and its like
		}
		s, err := w.r.encodeText("to_json", v, jsonString)
		w.b.WriteString(s)
		return true, err
	}
	return true, nil
}

func jsonString(s string) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if strings.ToValidUTF8(s, "") != s {
		return "", errorf("this text is not UTF-8, which JSON and YAML want")
	}
	if err := e.Encode(s); err != nil {
		return "", err
	}
	out := strings.TrimSuffix(b.String(), "\n")
	if !strings.ContainsFunc(out, invisible) {
		return out, nil
	}
	b.Reset()
	for _, c := range out {
		if invisible(c) {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String(), nil
}

// invisible characters are allowed in JSON; a reader of YAML takes some of them for line ends or refuses them.
func invisible(c rune) bool { return c >= 0x7f && c <= 0x9f || c == 0xfeff }

func (w *writer) line(depth int) {
	if w.indent != "" {
		w.b.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *writer) comma(i int) {
	if i > 0 && w.indent != "" {
		w.b.WriteString(",")
	} else if i > 0 {
		w.b.WriteString(", ")
	}
}

func (w *writer) json(v starlark.Value, depth int) error {
	if err := w.check(depth); err != nil {
		return err
	}
	if done, err := w.scalar(v); done || err != nil {
		return err
	}
	if d, ok := v.(*starlark.Dict); ok {
		items, err := w.items(d)
		if err != nil {
			return err
		}
		w.b.WriteString("{")
		for i, kv := range items {
			w.comma(i)
			w.line(depth + 1)
			if err := w.key(kv[0]); err != nil {
				return err
			}
			w.b.WriteString(": ")
			if err := w.json(kv[1], depth+1); err != nil {
				return err
			}
		}
		if len(items) > 0 {
			w.line(depth)
		}
		w.b.WriteString("}")
		return nil
	}
	list, err := w.r.items(v)
	if err != nil {
		return err
	}
	w.b.WriteString("[")
	for i, x := range list {
		w.comma(i)
		w.line(depth + 1)
		if err := w.json(x, depth+1); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		w.line(depth)
	}
	w.b.WriteString("]")
	return nil
}

func (w *writer) key(k starlark.Value) error {
	s, ok := k.(starlark.String)
	if !ok {
		if _, num := k.(starlark.Int); !num {
			return errorf("a key is a text or a whole number, got %s", an(k))
		}
		s = starlark.String(k.String())
	}
	text, err := w.r.encodeText("to_json", s, jsonString)
	w.b.WriteString(text)
	return err
}

// filterYAML writes block style with an indent of 2 and no newline at the end, so that `| indent` fits it in anywhere.
func filterYAML(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	w, err := newWriter(r, a, 2)
	if err != nil {
		return nil, err
	}
	if len(w.indent) < 2 {
		return nil, errorf("indent is at least 2")
	}
	err = w.yaml(v, 0)
	return starlark.String(w.b.String()), err
}

// plainYAML is text that every reader of YAML 1.1 and 1.2 takes for the string that it is, if yamlWord says so too.
var plainYAML = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*$`)
})

var yamlWord = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|none|nan|inf)$`)
})

func (w *writer) yamlText(s starlark.String) error {
	text, err := w.r.encodeText("to_json", s, func(s string) (string, error) {
		if len(s) < 200 && plainYAML().MatchString(s) && !yamlWord().MatchString(s) {
			return s, nil
		}
		return jsonString(s)
	})
	w.b.WriteString(text)
	return err
}

func (w *writer) yaml(v starlark.Value, depth int) error {
	if err := w.check(depth); err != nil {
		return err
	}
	if s, ok := v.(starlark.String); ok {
		return w.yamlText(s)
	}
	if done, err := w.scalar(v); done || err != nil {
		return err
	}
	var rows []func() error
	empty := "[]"
	if d, ok := v.(*starlark.Dict); ok {
		empty = "{}"
		items, err := w.items(d)
		if err != nil {
			return err
		}
		for _, kv := range items {
			rows = append(rows, func() error {
				if s, ok := kv[0].(starlark.String); ok {
					if err := w.yamlText(s); err != nil {
						return err
					}
				} else if _, ok := kv[0].(starlark.Int); ok {
					w.b.WriteString(kv[0].String())
				} else {
					return errorf("a key is a text or a whole number, got %s", an(kv[0]))
				}
				w.b.WriteString(":")
				if starlark.Len(kv[1]) > 0 && !scalar(kv[1]) {
					w.line(depth + 1)
				} else {
					w.b.WriteString(" ")
				}
				return w.yaml(kv[1], depth+1)
			})
		}
	} else {
		list, err := w.r.items(v)
		if err != nil {
			return err
		}
		for _, x := range list {
			rows = append(rows, func() error {
				w.b.WriteString("-" + strings.Repeat(" ", len(w.indent)-1))
				return w.yaml(x, depth+1)
			})
		}
	}
	if len(rows) == 0 {
		w.b.WriteString(empty)
		return nil
	}
	for i, row := range rows {
		if i > 0 {
			w.line(depth)
		}
		if err := row(); err != nil {
			return err
		}
	}
	return nil
}
