package template

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// binary is x op y with Starlark's meaning, except that ~ joins texts, that % formats as Python does, and that what
// could take long or grow large is measured first.
func (r *run) binary(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if err := r.charge(1); err != nil {
		return nil, err
	}
	switch op {
	case syntax.TILDE:
		a, err := r.plain(x)
		if err != nil {
			return nil, err
		}
		b, err := r.plain(y)
		if err != nil {
			return nil, err
		}
		if err := r.grow(float64(len(a) + len(b))); err != nil {
			return nil, err
		}
		return starlark.String(a + b), nil
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		return r.compare(op, x, y)
	case syntax.IN:
		if err := r.measureIn(x, y); err != nil {
			return nil, err
		}
	case syntax.PERCENT:
		if s, ok := x.(starlark.String); ok {
			text, err := r.format(string(s), y)
			return starlark.String(text), err
		}
	case syntax.PLUS:
		if err := r.measureSum(x, y); err != nil {
			return nil, err
		}
	case syntax.STAR:
		if err := r.measureProduct(x, y); err != nil {
			return nil, err
		}
	}
	v, err := starlark.Binary(op, x, y)
	if i, ok := v.(starlark.Int); ok && err == nil {
		if _, small := i.Int64(); !small && i.BigInt().BitLen() > maxIntBits {
			return nil, errorf("this number is too large: more than %d bits", maxIntBits)
		}
	}
	return v, err
}

func (r *run) compare(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if err := r.measurePair(x, y); err != nil {
		return nil, err
	}
	ok, err := starlark.CompareDepth(op, x, y, maxDepth+2)
	return starlark.Bool(ok), err
}

// less orders two values as sort does.
func (r *run) less(x, y starlark.Value) (bool, error) {
	v, err := r.compare(syntax.LT, x, y)
	return v == starlark.True, err
}

func (r *run) equal(x, y starlark.Value) (bool, error) {
	v, err := r.compare(syntax.EQL, x, y)
	return v == starlark.True, err
}

func (r *run) measurePair(x, y starlark.Value) error {
	if scalar(x) || scalar(y) {
		return r.charge(1)
	}
	if err := r.measure(x); err != nil {
		return err
	}
	return r.measure(y)
}

func scalar(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Float, starlark.Bool, starlark.NoneType, starlark.Bytes:
		return true
	}
	return false
}

func (r *run) measureIn(x, y starlark.Value) error {
	if s, ok := y.(starlark.String); ok {
		return r.charge(len(s)/64 + 1)
	}
	if !scalar(x) {
		return r.measurePair(x, y)
	}
	switch y := y.(type) {
	case starlark.Tuple:
		return r.charge(len(y))
	case *starlark.List:
		return r.charge(y.Len())
	}
	return nil
}

func (r *run) measureSum(x, y starlark.Value) error {
	if a, ok := x.(starlark.String); ok {
		if b, ok := y.(starlark.String); ok {
			return r.grow(float64(len(a) + len(b)))
		}
		if scalar(y) && y != starlark.None {
			return errorf("cannot add %s to a string: join them with ~", an(y))
		}
	} else if _, ok := y.(starlark.String); ok && scalar(x) && x != starlark.None {
		return errorf("cannot add a string to %s: join them with ~", an(x))
	}
	if n := starlark.Len(x) + starlark.Len(y); n > 0 {
		return r.charge(n)
	}
	return nil
}

func (r *run) measureProduct(x, y starlark.Value) error {
	if _, ok := x.(starlark.Int); ok {
		x, y = y, x
	}
	i, ok := y.(starlark.Int)
	if !ok {
		return nil
	}
	times := max(0, float64(i.Float()))
	switch x := x.(type) {
	case starlark.String:
		return r.grow(times * float64(len(x)))
	case starlark.Bytes:
		return r.grow(times * float64(len(x)))
	case *starlark.List, starlark.Tuple:
		if n := times * float64(starlark.Len(x)); n > float64(r.limit) {
			return r.charge(int(r.limit) + 1)
		} else {
			return r.charge(int(n))
		}
	}
	return nil
}

// allow measures a call of a function whose work can be neither counted nor stopped once it runs.
func (r *run) allow(fn starlark.Callable, pos starlark.Tuple, kw []starlark.Tuple) error {
	b, ok := fn.(*starlark.Builtin)
	if !ok {
		return r.measure(starlark.Tuple(pos)) // a function of a bundle may do anything with its arguments
	}
	for _, v := range pos {
		if err := r.charge(size(v)); err != nil {
			return err
		}
	}
	for _, k := range kw {
		if err := r.charge(size(k[1])); err != nil {
			return err
		}
	}
	s, ok := b.Receiver().(starlark.String)
	if !ok {
		switch b.Name() {
		case "dict", "sorted", "min", "max", "loop.changed": // these hash or compare what is within
			return r.measure(starlark.Tuple(pos))
		}
		if b.Receiver() != nil { // a method of a dict or set hashes its argument, one of a list compares it
			if err := r.charge(size(b.Receiver())); err != nil {
				return err
			}
			return r.measure(starlark.Tuple(pos))
		}
		return nil
	}
	switch b.Name() {
	case "replace":
		if len(pos) >= 2 {
			old, _ := starlark.AsString(pos[0])
			with, _ := starlark.AsString(pos[1])
			return r.growReplace(string(s), old, with)
		}
	case "join":
		if len(pos) == 1 {
			list, err := r.items(pos[0])
			if err != nil {
				return err
			}
			n := 0.0
			for _, x := range list {
				n += float64(len(s)) + float64(size(x))*64
			}
			return r.grow(n)
		}
	case "format":
		n := 0.0
		texts := append(starlark.Tuple{}, pos...)
		for _, k := range kw {
			texts = append(texts, k[1])
		}
		for _, x := range texts {
			t, err := r.text(x)
			if err != nil {
				return err
			}
			n = max(n, float64(len(t)))
		}
		return r.grow(float64(len(s)) + n*float64(strings.Count(string(s), "{"))*2)
	}
	return r.charge(len(s)/64 + 1)
}

func (r *run) growReplace(s, old, with string) error {
	return r.grow(float64(len(s)) + float64(strings.Count(s, old))*float64(len(with)))
}

// size is the cost of looking at the parts of v once.
func size(v starlark.Value) int {
	switch v := v.(type) {
	case starlark.String:
		return len(v)/64 + 1
	case starlark.Bytes:
		return len(v)/64 + 1
	case starlark.Sequence:
		return v.Len()
	}
	return 1
}
