package template

import (
	"go.starlark.net/starlark"
)

// node is a part of a template that writes output or binds names.
type node interface{ exec(r *run) error }

type textNode struct {
	place
	text string
}

type outNode struct {
	place
	e expr
}

type branch struct {
	cond expr // nil for else
	body []node
}

type ifNode struct{ branches []branch }

type forNode struct {
	place
	vars         target
	in, cond     expr
	loop, lo, hi int
	body, orElse []node
}

// target is the slots that a value is bound to; several take a sequence apart.
type target []int

type setNode struct {
	place
	to target
	e  expr
}

type setAttrNode struct {
	place
	of   expr
	name string
	e    expr
}

type withNode struct {
	sets   []*setNode
	body   []node
	lo, hi int
}

type macroNode struct {
	place
	slot int
	m    *macro
}

// callNode is {% call m() %}: it calls m with the block as m's `caller`.
type callNode struct {
	place
	call *callExpr
	m    *macro
}

func (r *run) all(nodes []node) error {
	for _, n := range nodes {
		if err := n.exec(r); err != nil {
			return err
		}
	}
	return nil
}

func (n *textNode) exec(r *run) error {
	if err := r.charge(1); err != nil {
		return n.wrap(err)
	}
	return n.wrap(r.write(n.text))
}

func (n *outNode) exec(r *run) error {
	v, err := n.e.eval(r)
	if err != nil {
		return err
	}
	if v == starlark.None {
		return n.errorf("this is None, which is never printed: give it another value with | default(...), or ask with `is none`")
	}
	s, err := r.text(v)
	if err == nil {
		err = r.write(s)
	}
	return n.wrap(err)
}

func (n *ifNode) exec(r *run) error {
	for _, b := range n.branches {
		if b.cond != nil {
			v, err := b.cond.eval(r)
			if err != nil {
				return err
			}
			if !v.Truth() {
				continue
			}
		}
		return r.all(b.body)
	}
	return nil
}

func (n *forNode) exec(r *run) error {
	in, err := n.in.eval(r)
	if err != nil {
		return err
	}
	items, err := r.items(in)
	if err != nil {
		return n.in.pos().wrap(err)
	}
	if n.cond != nil {
		var kept []starlark.Value
		for _, it := range items {
			r.clear(n.lo, n.hi)
			if err := r.bind(n.vars, it); err != nil {
				return n.wrap(err)
			}
			v, err := n.cond.eval(r)
			if err != nil {
				return err
			}
			if v.Truth() {
				kept = append(kept, it)
			}
		}
		items = kept
	}
	l := &loopValue{items: items}
	defer r.clear(n.lo, n.hi)
	for i, it := range items {
		r.clear(n.lo, n.hi)
		l.i = i
		r.frame.slots[n.loop] = l
		if err := r.bind(n.vars, it); err != nil {
			return n.wrap(err)
		}
		if err := r.all(n.body); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return r.all(n.orElse)
	}
	return nil
}

// bind stores v, or its parts when there are several slots.
func (r *run) bind(t target, v starlark.Value) error {
	if err := r.charge(1); err != nil {
		return err
	}
	if len(t) == 1 {
		r.frame.slots[t[0]] = v
		return nil
	}
	parts, err := r.items(v)
	if err != nil {
		return err
	}
	if len(parts) != len(t) {
		return errorf("cannot bind %d values to %d names", len(parts), len(t))
	}
	for i, slot := range t {
		r.frame.slots[slot] = parts[i]
	}
	return nil
}

func (n *setNode) exec(r *run) error {
	v, err := n.e.eval(r)
	if err != nil {
		return err
	}
	return n.wrap(r.bind(n.to, v))
}

func (n *setAttrNode) exec(r *run) error {
	of, err := n.of.eval(r)
	if err != nil {
		return err
	}
	v, err := n.e.eval(r)
	if err != nil {
		return err
	}
	ns, ok := of.(*namespaceValue)
	if !ok {
		return n.errorf("cannot set .%s of %s: only a namespace(...) can be changed", n.name, an(of))
	}
	// A namespace outlives the loop that fills it, so it is where a value could grow without end.
	if err := r.measure(v); err != nil {
		return n.wrap(err)
	}
	ns.set(n.name, v)
	return nil
}

func (n *withNode) exec(r *run) error {
	r.clear(n.lo, n.hi)
	for _, s := range n.sets {
		if err := s.exec(r); err != nil {
			return err
		}
	}
	return r.all(n.body)
}

func (n *macroNode) exec(r *run) error {
	r.frame.slots[n.slot] = r.closure(n.m)
	return nil
}

func (n *callNode) exec(r *run) error {
	v, err := n.call.evalWith(r, r.closure(n.m))
	if err != nil {
		return err
	}
	if v == starlark.None {
		return n.errorf("this call returned None")
	}
	s, err := r.text(v)
	if err == nil {
		err = r.write(s)
	}
	return n.wrap(err)
}
