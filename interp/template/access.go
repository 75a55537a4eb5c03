package template

import (
	"errors"
	"math"
	"slices"

	"go.starlark.net/starlark"
)

type (
	attrExpr struct {
		place // of the name behind the dot
		of    expr
		name  string
	}
	indexExpr struct {
		place // of the bracket
		of, i expr
	}
	sliceExpr struct {
		place
		of, lo, hi, step expr
	}
	callExpr struct {
		place
		fn   expr
		args arguments
	}
)

// mutators are the methods that change their receiver.
var mutators = []string{"append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update", "add", "discard"}

func (e *attrExpr) eval(r *run) (starlark.Value, error) {
	of, err := e.of.eval(r)
	if err != nil {
		return nil, err
	}
	if err := r.charge(1); err != nil {
		return nil, e.wrap(err)
	}
	v, err := r.attr(of, e.name)
	return v, e.wrap(err)
}

// attr is v.name: a method or attribute, or else, for a dict, the value of the key.
func (r *run) attr(v starlark.Value, name string) (starlark.Value, error) {
	var names []string
	if has, ok := v.(starlark.HasAttrs); ok {
		a, err := has.Attr(name)
		var none starlark.NoSuchAttrError
		if err != nil && !errors.As(err, &none) {
			return nil, err
		}
		if a != nil && err == nil {
			if _, method := a.(*starlark.Builtin); method && slices.Contains(mutators, name) && changes(v) {
				if d, ok := v.(*starlark.Dict); ok { // a key such as "update" is data
					if x, found, _ := d.Get(starlark.String(name)); found {
						return x, nil
					}
				}
				return nil, errorf("a template cannot change values: there is no .%s here; bind a new value with set, or use a namespace", name)
			}
			return a, nil
		}
		names = slices.DeleteFunc(slices.Clone(has.AttrNames()), func(n string) bool { return slices.Contains(mutators, n) })
	}
	if d, ok := v.(*starlark.Dict); ok {
		x, found, err := d.Get(starlark.String(name))
		if err != nil || found {
			return x, err
		}
		return nil, missingKey(d, name, names)
	}
	if m, ok := v.(starlark.Mapping); ok {
		x, found, err := m.Get(starlark.String(name))
		if err != nil || found {
			return x, err
		}
	}
	if v == starlark.None {
		return nil, errorf("None has no attribute %s", name)
	}
	return nil, missingf("%s has no attribute %s%s", an(v), name, suggest(name, names))
}

func changes(v starlark.Value) bool {
	switch v.(type) {
	case *starlark.List, *starlark.Dict, *starlark.Set:
		return true
	}
	return false
}

func missingKey(d *starlark.Dict, name string, more []string) error {
	if d.Len() <= 1000 {
		for _, k := range d.Keys() {
			if s, ok := k.(starlark.String); ok {
				more = append(more, string(s))
			}
		}
	}
	return missingf("the dict has no key %q%s", name, suggest(name, more))
}

func (e *indexExpr) eval(r *run) (starlark.Value, error) {
	of, err := e.of.eval(r)
	if err != nil {
		return nil, err
	}
	i, err := e.i.eval(r)
	if err != nil {
		return nil, err
	}
	v, err := r.index(of, i)
	return v, e.wrap(err)
}

func (r *run) index(v, i starlark.Value) (starlark.Value, error) {
	if err := r.charge(1); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case starlark.Mapping:
		if err := r.measure(i); err != nil {
			return nil, err
		}
		x, found, err := v.Get(i)
		if err != nil || found {
			return x, err
		}
		d, isDict := v.(*starlark.Dict)
		name, isStr := i.(starlark.String)
		if isDict && isStr {
			return nil, missingKey(d, string(name), nil)
		}
		return nil, missingf("the %s has no key %s", v.Type(), i)
	case starlark.Indexable:
		n, err := starlark.AsInt32(i)
		if err != nil {
			return nil, errorf("an index of %s is a number, got %s", an(v), an(i))
		}
		if n < 0 {
			n += v.Len()
		}
		if n < 0 || n >= v.Len() {
			return nil, missingf("index %s is out of range: the %s has %d items", i, v.Type(), v.Len())
		}
		return v.Index(n), nil
	}
	if name, ok := i.(starlark.String); ok {
		if _, ok := v.(starlark.HasAttrs); ok {
			return r.attr(v, string(name))
		}
	}
	if v == starlark.None {
		return nil, errorf("None has no items")
	}
	return nil, errorf("%s has no items", an(v))
}

func (e *sliceExpr) eval(r *run) (starlark.Value, error) {
	of, err := e.of.eval(r)
	if err != nil {
		return nil, err
	}
	s, ok := of.(starlark.Sliceable)
	if !ok {
		return nil, e.errorf("%s has no slices", an(of))
	}
	n := s.Len()
	part := func(x expr, dflt int) (int, error) {
		if x == nil {
			return dflt, nil
		}
		v, err := x.eval(r)
		if err != nil || v == starlark.None {
			return dflt, err
		}
		i, err := starlark.AsInt32(v)
		if err != nil {
			return 0, x.pos().errorf("a slice wants numbers, got %s", an(v))
		}
		return i, nil
	}
	step, err := part(e.step, 1)
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, e.step.pos().errorf("the step of a slice cannot be 0")
	}
	start, end, low, high := 0, n, 0, n
	if step < 0 {
		start, end, low, high = n-1, -1, -1, n-1
	}
	bound := func(x expr, dflt int) (int, error) {
		const unset = math.MinInt
		i, err := part(x, unset)
		if err != nil || i == unset {
			return dflt, err
		}
		if i < 0 {
			i += n
		}
		return min(max(i, low), high), nil
	}
	if start, err = bound(e.lo, start); err != nil {
		return nil, err
	}
	if end, err = bound(e.hi, end); err != nil {
		return nil, err
	}
	if step > 0 {
		end = max(end, start)
	} else {
		end = min(end, start)
	}
	if err := r.charge(1 + (end-start)/step); err != nil {
		return nil, e.wrap(err)
	}
	return s.Slice(start, end, step), nil
}

func (e *callExpr) eval(r *run) (starlark.Value, error) { return e.evalWith(r, nil) }

// evalWith calls with an additional argument `caller`.
func (e *callExpr) evalWith(r *run, caller starlark.Value) (starlark.Value, error) {
	fn, err := e.fn.eval(r)
	if err != nil {
		return nil, err
	}
	pos, err := r.evalAll(e.args.pos)
	if err != nil {
		return nil, e.wrap(err)
	}
	var kw []starlark.Tuple
	for _, k := range e.args.kw {
		v, err := k.val.eval(r)
		if err != nil {
			return nil, err
		}
		kw = append(kw, starlark.Tuple{starlark.String(k.name), v})
	}
	if e.args.star != nil {
		v, err := e.args.star.eval(r)
		if err != nil {
			return nil, err
		}
		more, err := r.items(v)
		if err != nil {
			return nil, e.args.star.pos().wrap(err)
		}
		pos = append(pos, more...)
	}
	if e.args.dstar != nil {
		v, err := e.args.dstar.eval(r)
		if err != nil {
			return nil, err
		}
		d, ok := v.(*starlark.Dict)
		if !ok {
			return nil, e.args.dstar.pos().errorf("** wants a dict, got %s", an(v))
		}
		for _, item := range d.Items() {
			if _, ok := item[0].(starlark.String); !ok {
				return nil, e.args.dstar.pos().errorf("** wants a dict whose keys are strings")
			}
			kw = append(kw, item)
		}
		if err := r.charge(len(kw)); err != nil {
			return nil, e.wrap(err)
		}
	}
	if caller != nil {
		kw = append(kw, starlark.Tuple{starlark.String("caller"), caller})
	}
	v, err := r.call(fn, pos, kw)
	return v, e.wrap(err)
}

// call calls a macro, a method, one of our functions, or a function that vars handed in. The latter run on a thread
// without locals: they cannot reach a host.
func (r *run) call(fn starlark.Value, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	callable, ok := fn.(starlark.Callable)
	if !ok {
		return nil, errorf("%s cannot be called", an(fn))
	}
	if f, ok := fn.(boundFunction); ok {
		return f.call(r, pos, kw)
	}
	if err := r.allow(callable, pos, kw); err != nil {
		return nil, err
	}
	if err := r.detach(callable, pos); err != nil {
		return nil, err
	}
	if r.depth >= maxDepth {
		return nil, errorf("calls are nested too deeply: more than %d", maxDepth)
	}
	r.depth++
	defer func() { r.depth-- }()
	before := r.thread.Steps
	r.thread.SetMaxExecutionSteps(before + max(1, r.limit-r.steps))
	v, err := starlark.Call(r.thread, callable, pos, kw)
	spent := r.thread.Steps - before
	if err != nil {
		if e := r.charge(int(spent)); e != nil { // the thread only says that it was cancelled
			return nil, e
		}
		var deep *Error
		if errors.As(err, &deep) {
			return nil, deep
		}
		if e, ok := err.(*starlark.EvalError); ok && len(e.CallStack) < 2 {
			return nil, e.Unwrap()
		}
		return nil, err
	}
	return v, r.charge(int(spent))
}

// detach replaces the lists, dicts and sets among the arguments of a function of Starlark's that iterates by tuples:
// iterating one that is not frozen writes to it, and other renders may be reading it.
func (r *run) detach(fn starlark.Callable, pos starlark.Tuple) error {
	b, ok := fn.(*starlark.Builtin)
	if !ok {
		return nil
	}
	switch b.Name() {
	case "all", "any", "enumerate", "list", "max", "min", "reversed", "sorted", "tuple", "zip":
		if b != starlark.Universe[b.Name()] {
			return nil
		}
	case "dict":
		if len(pos) == 1 {
			return r.detachPairs(pos)
		}
	case "join":
		if _, ok := b.Receiver().(starlark.String); !ok {
			return nil
		}
	default:
		return nil
	}
	for i, v := range pos {
		if !changes(v) {
			continue
		}
		list, err := r.items(v)
		if err != nil {
			return err
		}
		pos[i] = starlark.Tuple(list)
	}
	return nil
}

// detachPairs does the same for the pairs that dict is made of.
func (r *run) detachPairs(pos starlark.Tuple) error {
	list, ok := pos[0].(*starlark.List)
	if !ok {
		return nil
	}
	items, err := r.items(list)
	if err != nil {
		return err
	}
	for i, pair := range items {
		if changes(pair) {
			parts, err := r.items(pair)
			if err != nil {
				return err
			}
			items[i] = starlark.Tuple(parts)
		}
	}
	pos[0] = starlark.Tuple(items)
	return nil
}
