package template

import (
	"errors"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

type (
	constExpr struct {
		place
		val starlark.Value
	}
	nameExpr struct {
		place
		name    string
		refs    []ref          // where the template itself may have bound it, nearest first
		builtin starlark.Value // what it is when neither the template nor vars bind it
	}
	tupleExpr struct {
		place
		items []expr
	}
	listExpr struct {
		place
		items []expr
	}
	dictExpr struct {
		place
		keys, vals []expr
	}
	clause struct {
		place
		vars target
		in   expr
		cond expr // set for an `if`
	}
	comprehensionExpr struct {
		place
		key     expr // set for a dict
		body    expr
		clauses []clause
		lo, hi  int
	}
	lambdaExpr struct {
		place
		m *macro
	}
	condExpr struct {
		place
		cond, x, y expr
	}
	orExpr struct {
		place
		x, y expr
	}
	andExpr struct {
		place
		x, y expr
	}
	notExpr struct {
		place
		x expr
	}
	unaryExpr struct {
		place
		op syntax.Token
		x  expr
	}
	binaryExpr struct {
		place
		op   syntax.Token
		x, y expr
	}
	captureExpr struct {
		place
		body   []node
		lo, hi int
	}
	filterExpr struct {
		place
		of expr
		f  *application
	}
	testExpr struct {
		place
		of     expr
		test   *application
		negate bool
	}
)

func (e *constExpr) eval(r *run) (starlark.Value, error) { return e.val, nil }

func (e *nameExpr) eval(r *run) (starlark.Value, error) {
	if v := e.find(r); v != nil {
		return v, e.wrap(r.charge(1))
	}
	if len(e.refs) > 0 {
		return nil, e.wrap(missingf("undefined: %s (it is set, but not on the way here)", e.name))
	}
	return nil, e.wrap(missingf("undefined: %s", e.name))
}

func (e *nameExpr) find(r *run) starlark.Value {
	for _, ref := range e.refs {
		f := r.frame
		for range ref.up {
			f = f.outer
		}
		if v := f.slots[ref.slot]; v != nil {
			return v
		}
	}
	if v := r.vars[e.name]; v != nil {
		return v
	}
	return e.builtin
}

func (r *run) evalAll(list []expr) ([]starlark.Value, error) {
	vals := make([]starlark.Value, len(list))
	for i, e := range list {
		v, err := e.eval(r)
		if err != nil {
			return nil, err
		}
		vals[i] = v
	}
	return vals, r.charge(len(list))
}

func (e *tupleExpr) eval(r *run) (starlark.Value, error) {
	vals, err := r.evalAll(e.items)
	return starlark.Tuple(vals), e.wrap(err)
}

func (e *listExpr) eval(r *run) (starlark.Value, error) {
	vals, err := r.evalAll(e.items)
	if err != nil {
		return nil, e.wrap(err)
	}
	return starlark.NewList(vals), nil
}

func (e *dictExpr) eval(r *run) (starlark.Value, error) {
	d := starlark.NewDict(len(e.keys))
	for i, k := range e.keys {
		key, err := k.eval(r)
		if err != nil {
			return nil, err
		}
		val, err := e.vals[i].eval(r)
		if err != nil {
			return nil, err
		}
		if err := r.setKey(d, key, val); err != nil {
			return nil, k.pos().wrap(err)
		}
	}
	return d, nil
}

// setKey measures the key first: hashing it cannot be stopped.
func (r *run) setKey(d *starlark.Dict, k, v starlark.Value) error {
	if err := r.measure(k); err != nil {
		return err
	}
	return d.SetKey(k, v)
}

func (e *comprehensionExpr) eval(r *run) (starlark.Value, error) {
	defer r.clear(e.lo, e.hi)
	if e.key != nil {
		d := new(starlark.Dict)
		err := e.step(r, 0, func() error {
			k, err := e.key.eval(r)
			if err != nil {
				return err
			}
			v, err := e.body.eval(r)
			if err != nil {
				return err
			}
			return e.key.pos().wrap(r.setKey(d, k, v))
		})
		return d, err
	}
	var list []starlark.Value
	err := e.step(r, 0, func() error {
		v, err := e.body.eval(r)
		list = append(list, v)
		return err
	})
	return starlark.NewList(list), err
}

func (e *comprehensionExpr) step(r *run, i int, emit func() error) error {
	if i == len(e.clauses) {
		if err := r.charge(1); err != nil {
			return e.wrap(err)
		}
		return emit()
	}
	c := e.clauses[i]
	if c.cond != nil {
		v, err := c.cond.eval(r)
		if err != nil || !bool(v.Truth()) {
			return err
		}
		return e.step(r, i+1, emit)
	}
	in, err := c.in.eval(r)
	if err != nil {
		return err
	}
	items, err := r.items(in)
	if err != nil {
		return c.in.pos().wrap(err)
	}
	for _, it := range items {
		if err := r.bind(c.vars, it); err != nil {
			return c.wrap(err)
		}
		if err := e.step(r, i+1, emit); err != nil {
			return err
		}
	}
	return nil
}

func (e *lambdaExpr) eval(r *run) (starlark.Value, error) { return r.closure(e.m), nil }

func (e *condExpr) eval(r *run) (starlark.Value, error) {
	v, err := e.cond.eval(r)
	if err != nil {
		return nil, err
	}
	if v.Truth() {
		return e.x.eval(r)
	}
	return e.y.eval(r)
}

func (e *orExpr) eval(r *run) (starlark.Value, error) {
	v, err := e.x.eval(r)
	if err != nil || bool(v.Truth()) {
		return v, err
	}
	return e.y.eval(r)
}

func (e *andExpr) eval(r *run) (starlark.Value, error) {
	v, err := e.x.eval(r)
	if err != nil || !bool(v.Truth()) {
		return v, err
	}
	return e.y.eval(r)
}

func (e *notExpr) eval(r *run) (starlark.Value, error) {
	v, err := e.x.eval(r)
	if err != nil {
		return nil, err
	}
	return !v.Truth(), nil
}

func (e *unaryExpr) eval(r *run) (starlark.Value, error) {
	v, err := e.x.eval(r)
	if err != nil {
		return nil, err
	}
	v, err = starlark.Unary(e.op, v)
	return v, e.wrap(err)
}

func (e *binaryExpr) eval(r *run) (starlark.Value, error) {
	x, err := e.x.eval(r)
	if err != nil {
		return nil, err
	}
	y, err := e.y.eval(r)
	if err != nil {
		return nil, err
	}
	v, err := r.binary(e.op, x, y)
	return v, e.wrap(err)
}

func (e *captureExpr) eval(r *run) (starlark.Value, error) {
	out := r.out
	r.out = nil
	defer func() { r.out = out }()
	r.clear(e.lo, e.hi)
	if err := r.all(e.body); err != nil {
		return nil, err
	}
	return starlark.String(r.out), nil
}

// maybe evaluates e; nil without an error means that what e names does not exist.
func (r *run) maybe(e expr) (starlark.Value, error) {
	v, err := e.eval(r)
	if err == nil {
		return v, nil
	}
	var located *Error
	if errors.As(err, &located) && located.missing && onSpine(e, located.at) {
		return nil, nil
	}
	return nil, err
}

// onSpine says whether the failure at p arose in a step of a.b[c] itself. A missing value within an argument or an
// index is still an error: default is not a way to hide a misspelt name there.
func onSpine(e expr, p place) bool {
	for {
		if e.pos() == p {
			return true
		}
		switch x := e.(type) {
		case *attrExpr:
			e = x.of
		case *indexExpr:
			e = x.of
		default:
			return false
		}
	}
}

func (e *filterExpr) eval(r *run) (starlark.Value, error) {
	v, err := r.operand(e.of, e.f)
	if err != nil {
		return nil, err
	}
	a, err := e.f.args(r)
	if err != nil {
		return nil, err
	}
	if err := r.charge(1); err != nil {
		return nil, e.wrap(err)
	}
	v, err = e.f.filter(r, v, a)
	if err != nil {
		return nil, e.wrap(e.f.named(err))
	}
	return v, nil
}

func (e *testExpr) eval(r *run) (starlark.Value, error) {
	v, err := r.operand(e.of, e.test)
	if err != nil {
		return nil, err
	}
	a, err := e.test.args(r)
	if err != nil {
		return nil, err
	}
	ok, err := e.test.test(r, v, a)
	if err != nil {
		return nil, e.wrap(e.test.named(err))
	}
	return starlark.Bool(ok != e.negate), nil
}

// operand evaluates what a filter or test applies to: nil for a missing value when that is what it asks about.
func (r *run) operand(e expr, f *application) (starlark.Value, error) {
	if f.maybe {
		return r.maybe(e)
	}
	return e.eval(r)
}

func (f *application) args(r *run) (*args, error) {
	a := &args{spec: f.spec}
	for i, e := range f.bound {
		if e == nil {
			continue
		}
		if a.vals == nil {
			a.vals = make([]starlark.Value, len(f.bound))
		}
		v, err := e.eval(r)
		if err != nil {
			return nil, err
		}
		a.vals[i] = v
	}
	var err error
	if len(f.rest) > 0 {
		if a.rest, err = r.evalAll(f.rest); err != nil {
			return nil, f.wrap(err)
		}
	}
	for _, k := range f.kw {
		v, err := k.val.eval(r)
		if err != nil {
			return nil, err
		}
		a.kw = append(a.kw, starlark.Tuple{starlark.String(k.name), v})
	}
	if f.inner != nil {
		a.inner = f.inner.spec
		a.innerArgs, err = f.inner.args(r)
	}
	return a, err
}
