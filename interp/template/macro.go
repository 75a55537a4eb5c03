package template

import (
	"slices"

	"go.starlark.net/starlark"
)

func (p *parser) macroTag(word token) (node, error) {
	at := p.here()
	name, err := p.name("the name of the macro")
	if err != nil {
		return nil, err
	}
	if err := p.wantOp("("); err != nil {
		return nil, err
	}
	slot := p.scope.declare(name.val)
	m, err := p.macroBody(word, name.val, ")", "endmacro")
	if err != nil {
		return nil, err
	}
	return &macroNode{at, slot, m}, nil
}

func (p *parser) macroBody(word token, name, closing, end string) (*macro, error) {
	outer := p.scope
	p.scope = outer.innerFunction()
	defer func() { p.scope = outer }()
	m := &macro{name: name, fn: p.scope.fn}
	m.caller = p.scope.declare("caller")
	var err error
	if closing != "" {
		if m.params, err = p.params(closing); err != nil {
			return nil, err
		}
		if err = p.wantOp(closing); err != nil {
			return nil, err
		}
	}
	if end == "endcall" {
		// the call itself stands between the parameters and the body; it sees the outer scope
		inner := p.scope
		p.scope = outer
		call, err := p.expr()
		if err != nil {
			return nil, err
		}
		c, ok := call.(*callExpr)
		if !ok {
			return nil, call.pos().errorf("call wants a call of a macro: {%% call name(...) %%}")
		}
		m.call = c
		p.scope = inner
	}
	m.body, _, err = p.body(word, end)
	return m, err
}

func (p *parser) callTag(word token) (node, error) {
	closing := ""
	if p.acceptOp("(") {
		closing = ")"
	}
	m, err := p.macroBody(word, "caller", closing, "endcall")
	if err != nil {
		return nil, err
	}
	return &callNode{m.call.place, m.call, m}, nil
}

// closure makes a callable of a macro or lambda in the current frame.
func (r *run) closure(m *macro) starlark.Value {
	outer := r.frame
	return starlark.NewBuiltin(m.name, func(_ *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return m.invoke(r, outer, pos, kw)
	})
}

// macro is a macro, a lambda (result is set) or the block of a call.
type macro struct {
	name   string
	params []macroParam
	fn     *function
	caller int // the slot of `caller`
	body   []node
	result expr
	call   *callExpr
}

type macroParam struct {
	name string
	slot int
	def  expr
}

func (m *macro) invoke(r *run, outer *frame, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	was, out := r.frame, r.out
	r.frame = &frame{make([]starlark.Value, m.fn.slots), outer}
	r.out = nil
	defer func() { r.frame, r.out = was, out }()
	if err := r.charge(1 + m.fn.slots); err != nil {
		return nil, err
	}
	if len(pos) > len(m.params) {
		return nil, errorf("%s: too many arguments: %d, want at most %d", m.name, len(pos), len(m.params))
	}
	for i, v := range pos {
		r.frame.slots[m.params[i].slot] = v
	}
	for _, k := range kw {
		name := string(k[0].(starlark.String))
		i := slices.IndexFunc(m.params, func(p macroParam) bool { return p.name == name })
		switch {
		case i >= 0 && r.frame.slots[m.params[i].slot] != nil:
			return nil, errorf("%s: the argument %s is given twice", m.name, name)
		case i >= 0:
			r.frame.slots[m.params[i].slot] = k[1]
		case name == "caller" && m.result == nil:
			r.frame.slots[m.caller] = k[1]
		default:
			var names []string
			for _, p := range m.params {
				names = append(names, p.name)
			}
			return nil, errorf("%s: unknown argument %s%s", m.name, name, suggest(name, names))
		}
	}
	for _, p := range m.params {
		if r.frame.slots[p.slot] != nil {
			continue
		}
		if p.def == nil {
			return nil, errorf("%s: missing argument %s", m.name, p.name)
		}
		v, err := p.def.eval(r)
		if err != nil {
			return nil, err
		}
		r.frame.slots[p.slot] = v
	}
	if m.result != nil {
		return m.result.eval(r)
	}
	if err := r.all(m.body); err != nil {
		return nil, err
	}
	return starlark.String(r.out), nil
}

// params reads the parameters of a lambda or macro up to closing, and declares them in the current scope.
func (p *parser) params(closing string) ([]macroParam, error) {
	var list []macroParam
	var names []string
	for !p.op(closing) {
		t, err := p.name("the name of a parameter")
		if err != nil {
			return nil, err
		}
		if slices.Contains(names, t.val) {
			return nil, p.at(t.off).errorf("the parameter %s is there twice", t.val)
		}
		names = append(names, t.val)
		m := macroParam{name: t.val}
		if p.acceptOp("=") {
			if m.def, err = p.expr(); err != nil {
				return nil, err
			}
		} else if len(list) > 0 && list[len(list)-1].def != nil {
			return nil, p.at(t.off).errorf("the parameter %s wants a default, as the one before it has one", t.val)
		}
		m.slot = p.scope.declare(t.val)
		list = append(list, m)
		if !p.acceptOp(",") {
			break
		}
	}
	return list, nil
}

func (p *parser) lambda() (expr, error) {
	at := p.here()
	p.i++
	p.scope = p.scope.innerFunction()
	defer func() { p.scope = p.scope.outer }()
	params, err := p.params(":")
	if err != nil {
		return nil, err
	}
	if err := p.wantOp(":"); err != nil {
		return nil, err
	}
	body, err := p.expr()
	if err != nil {
		return nil, err
	}
	return &lambdaExpr{at, &macro{name: "lambda", params: params, fn: p.scope.fn, result: body}}, nil
}
