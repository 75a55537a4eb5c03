package template

import (
	"strings"

	"go.starlark.net/starlark"
)

// Texter is a value that says itself what it prints as, and may refuse. A value of a foreign type without it prints
// as its String().
type Texter interface {
	TemplateText() (string, error)
}

// text is v as {{ v }} prints it.
func (r *run) text(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case starlark.Int, starlark.Bool, starlark.Float:
		return v.String(), nil
	case starlark.Bytes:
		return string(v), nil
	case Texter:
		return v.TemplateText()
	}
	var b strings.Builder
	err := r.repr(&b, v, 0)
	return b.String(), err
}

// plain is the text of something that is a text or number: not of None, a list, a dict or a function, which never
// belong into a text by intention.
func (r *run) plain(v starlark.Value) (string, error) {
	switch v.(type) {
	case starlark.NoneType, *starlark.List, starlark.Tuple, *starlark.Dict, *starlark.Set, starlark.Callable:
		return "", errorf("want a text or number, got %s", an(v))
	}
	return r.text(v)
}

// repr writes v as Starlark source, within the limits of the run; starlark.Value.String has none.
func (r *run) repr(b *strings.Builder, v starlark.Value, depth int) error {
	if err := r.charge(1); err != nil {
		return err
	}
	if depth > maxDepth {
		return errorf("this value is nested too deeply to be printed: more than %d levels", maxDepth)
	}
	if b.Len() > maxText {
		return r.grow(float64(b.Len()))
	}
	list := func(open, closing string, items []starlark.Value) error {
		b.WriteString(open)
		for i, x := range items {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := r.repr(b, x, depth+1); err != nil {
				return err
			}
		}
		b.WriteString(closing)
		return nil
	}
	switch v := v.(type) {
	case starlark.String:
		if err := r.grow(float64(b.Len()) + 4*float64(len(v))); err != nil {
			return err
		}
		b.WriteString(v.String())
	case starlark.Tuple:
		if len(v) == 1 {
			return list("(", ",)", v)
		}
		return list("(", ")", v)
	case *starlark.List:
		items, err := r.items(v)
		if err != nil {
			return err
		}
		return list("[", "]", items)
	case *starlark.Set:
		items, err := r.items(v)
		if err != nil {
			return err
		}
		return list("set([", "])", items)
	case *starlark.Dict:
		b.WriteString("{")
		for i, kv := range v.Items() {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := r.repr(b, kv[0], depth+1); err != nil {
				return err
			}
			b.WriteString(": ")
			if err := r.repr(b, kv[1], depth+1); err != nil {
				return err
			}
		}
		b.WriteString("}")
	case starlark.Callable:
		b.WriteString("<" + v.Type() + " " + v.Name() + ">")
	case Texter:
		s, err := v.TemplateText()
		if err != nil {
			return err
		}
		b.WriteString(s)
	default:
		b.WriteString(v.String())
	}
	return nil
}
