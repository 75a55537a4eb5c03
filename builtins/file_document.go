package builtins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// depthLimit is how deep documents and values may be nested.
const depthLimit = 200

// documentArgs are the arguments of edits of one value in a document of objects and lists.
type documentArgs struct {
	writing
	Key     starlark.Value `arg:"key"`
	Value   starlark.Value `arg:"value"`
	Null    bool           `arg:"null"`
	Element bool           `arg:"element"`
	Absent  bool           `arg:"absent"`
	Create  bool           `arg:"create"`
}

// documentFormat changes the text of a document, and reads it.
type documentFormat struct {
	parse  func([]byte) (any, error)
	change func([]byte, documentChange) ([]byte, error)
}

func (c *call) document(a documentArgs, format documentFormat) (starlark.Value, error) {
	e, err := a.edit()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return c.edited(a.writing, a.Create, a.Absent, func(old []byte) ([]byte, error) { return e.apply(old, format) })
}

func (a *documentArgs) edit() (*documentEdit, error) {
	e := &documentEdit{value: a.Value, element: a.Element, absent: a.Absent}
	var err error
	if e.path, err = documentPath(a.Key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	given := a.Value != nil || a.Null
	switch {
	case a.Value != nil && a.Null:
		return nil, fmt.Errorf("give value or null, not both")
	case !given && !a.Absent:
		return nil, fmt.Errorf("give value: what %s is to be (null = True for null, absent = True removes it)", pathText(e.path))
	case given && a.Absent && !a.Element:
		return nil, fmt.Errorf("absent = True removes the key with whatever it holds: leave value out, or say element = True to remove value from a list")
	case !given && a.Element:
		return nil, fmt.Errorf("give value: the element that the list is to hold, or not to hold")
	}
	if a.Null {
		e.value = starlark.None
	}
	if given {
		if e.tree, err = treeOf(e.value, 0); err != nil {
			return nil, fmt.Errorf("value: %w", err)
		}
	}
	return e, nil
}

// documentPath reads where a value stands: "a.b" or ["a", "b.c", 0].
func documentPath(v starlark.Value) ([]any, error) {
	if s, ok := starlark.AsString(v); ok {
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("%q is not UTF-8", s)
		}
		var path []any
		for part := range strings.SplitSeq(s, ".") {
			if part == "" {
				return nil, fmt.Errorf("%q has an empty part: names are joined by dots; give a list for names that hold dots, such as [\"a.b\", \"c\"]", s)
			}
			path = append(path, part)
		}
		return path, nil
	}
	it, ok := v.(starlark.Sequence)
	if _, isDict := v.(starlark.IterableMapping); !ok || isDict || it.Len() == 0 {
		return nil, mismatch(v, "names joined by dots, or a list of names and of numbers of elements")
	}
	var path []any
	for x := range starlark.Elements(it) {
		switch x := x.(type) {
		case starlark.String:
			if !utf8.ValidString(string(x)) {
				return nil, fmt.Errorf("%q is not UTF-8", string(x))
			}
			path = append(path, string(x))
		case starlark.Int:
			n, ok := x.Int64()
			if !ok || n < math.MinInt32 || n > math.MaxInt32 {
				return nil, fmt.Errorf("%s is no number of an element", x)
			}
			path = append(path, int(n))
		default:
			return nil, mismatch(x, "a name, or the number of an element, in the list")
		}
	}
	return path, nil
}

func pathText(path []any) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, ".")
}

// number is a number in its one spelling, so that 1 and 1.0 differ, and 1.0 and 1.00 do not.
type number string

func numberOf(s string) (number, error) {
	if i, ok := new(big.Int).SetString(s, 10); ok {
		return number(i.String()), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", fmt.Errorf("the number %s: %w", s, err)
	}
	t := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(t, ".eEnN") {
		t += ".0"
	}
	return number(t), nil
}

// treeOf is a value as documents hold it: nil, bool, number, string, []any, map[string]any.
func treeOf(v starlark.Value, depth int) (any, error) {
	if depth > depthLimit {
		return nil, fmt.Errorf("it is nested deeper than %d", depthLimit)
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		return number(v.String()), nil
	case starlark.Float:
		if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
			return nil, fmt.Errorf("%s cannot be written", v)
		}
		return numberOf(floatText(v))
	case starlark.String:
		if !utf8.ValidString(string(v)) {
			return nil, fmt.Errorf("%q is not UTF-8", string(v))
		}
		return string(v), nil
	case starlark.IterableMapping:
		m := map[string]any{}
		for _, kv := range v.Items() {
			k, ok := starlark.AsString(kv[0])
			if !ok || !utf8.ValidString(k) {
				return nil, fmt.Errorf("the key %s is no text", kv[0])
			}
			x, err := treeOf(kv[1], depth+1)
			if err != nil {
				return nil, err
			}
			m[k] = x
		}
		return m, nil
	case *starlark.List, starlark.Tuple:
		l := []any{}
		for x := range starlark.Elements(v.(starlark.Iterable)) {
			y, err := treeOf(x, depth+1)
			if err != nil {
				return nil, err
			}
			l = append(l, y)
		}
		return l, nil
	}
	return nil, mismatch(v, "a string, number, True, False, None, list or dict")
}

func floatText(f starlark.Float) string {
	t := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(t, ".e") {
		t += ".0"
	}
	return t
}

// jsonQuoted is a text in quotation marks, as JSON has it.
func jsonQuoted(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
