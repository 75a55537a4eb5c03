package template

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

func (p *parser) postfix(x expr) (expr, error) {
	for n := 0; ; n++ {
		if err := p.tooLong(n); err != nil {
			return nil, err
		}
		at := p.here()
		switch {
		case p.acceptOp("."):
			t := p.tok()
			if t.kind != tName {
				return nil, p.unexpected("want a name behind the dot; a number goes in brackets: x[0]")
			}
			p.i++
			x = &attrExpr{p.at(t.off), x, t.val}
		case p.acceptOp("["):
			e, err := p.subscript(at, x)
			if err != nil {
				return nil, err
			}
			x = e
		case p.op("("):
			args, err := p.arguments()
			if err != nil {
				return nil, err
			}
			x = &callExpr{x.pos(), x, args}
		default:
			return x, nil
		}
	}
}

func (p *parser) subscript(at place, x expr) (expr, error) {
	var parts [3]expr
	colons := 0
	for {
		if !p.op(":") && !p.op("]") {
			e, err := p.expr()
			if err != nil {
				return nil, err
			}
			parts[colons] = e
		}
		if colons < 2 && p.acceptOp(":") {
			colons++
			continue
		}
		break
	}
	if colons == 0 && parts[0] == nil {
		return nil, p.unexpected("want an index")
	}
	if colons == 0 && p.op(",") {
		list := []expr{parts[0]}
		for p.acceptOp(",") && !p.op("]") {
			e, err := p.expr()
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		parts[0] = &tupleExpr{at, list}
	}
	if err := p.wantOp("]"); err != nil {
		return nil, err
	}
	if colons > 0 {
		return &sliceExpr{at, x, parts[0], parts[1], parts[2]}, nil
	}
	return &indexExpr{at, x, parts[0]}, nil
}

func (p *parser) primary() (expr, error) {
	t := p.tok()
	at := p.here()
	switch t.kind {
	case tStr:
		p.i++
		if p.tok().kind == tStr {
			return nil, p.here().errorf("two strings side by side: join them with ~ or +")
		}
		return &constExpr{at, starlark.String(t.val)}, nil
	case tInt:
		p.i++
		i, ok := new(big.Int).SetString(t.val, 0)
		if !ok {
			return nil, at.errorf("this is not a number: %q", t.val)
		}
		return &constExpr{at, starlark.MakeBigInt(i)}, nil
	case tFloat:
		p.i++
		f, err := strconv.ParseFloat(t.val, 64)
		if err != nil {
			return nil, at.errorf("this number is out of range: %q", t.val)
		}
		return &constExpr{at, starlark.Float(f)}, nil
	case tName:
		if v := constant(t.val); v != nil {
			p.i++
			return &constExpr{at, v}, nil
		}
		if slices.Contains(keywords, t.val) {
			return nil, p.unexpected("want an expression")
		}
		p.i++
		return p.nameRef(t), nil
	case tOp:
		if strings.Contains("([{", t.val) {
			if err := p.enter(); err != nil {
				return nil, err
			}
			defer p.leave()
			p.i++
			switch t.val {
			case "(":
				return p.paren(at)
			case "[":
				return p.list(at)
			}
			return p.dict(at)
		}
	}
	return nil, p.unexpected("want an expression")
}

func (p *parser) nameRef(t token) expr {
	e := &nameExpr{place: p.at(t.off), name: t.val, refs: p.scope.lookup(t.val), builtin: p.c.functions[t.val]}
	if len(e.refs) == 0 && e.builtin == nil && !slices.Contains(p.guard, t.val) {
		p.c.uses = append(p.c.uses, use{e, p.scope})
	}
	return e
}
