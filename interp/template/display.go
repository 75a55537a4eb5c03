package template

// paren reads what stands behind "(": an expression or a tuple.
func (p *parser) paren(at place) (expr, error) {
	if p.acceptOp(")") {
		return &tupleExpr{at, nil}, nil
	}
	e, err := p.tuple(true)
	if err != nil {
		return nil, err
	}
	return e, p.wantOp(")")
}

func (p *parser) list(at place) (expr, error) {
	if p.comprehends() {
		return p.comprehension(at, "]")
	}
	e := &listExpr{place: at}
	for !p.op("]") {
		x, err := p.expr()
		if err != nil {
			return nil, err
		}
		e.items = append(e.items, x)
		if !p.acceptOp(",") {
			break
		}
	}
	return e, p.wantOp("]")
}

func (p *parser) dict(at place) (expr, error) {
	if p.comprehends() {
		return p.comprehension(at, "}")
	}
	e := &dictExpr{place: at}
	for !p.op("}") {
		k, v, err := p.entry()
		if err != nil {
			return nil, err
		}
		e.keys, e.vals = append(e.keys, k), append(e.vals, v)
		if !p.acceptOp(",") {
			break
		}
	}
	return e, p.wantOp("}")
}

func (p *parser) entry() (k, v expr, err error) {
	if k, err = p.expr(); err != nil {
		return nil, nil, err
	}
	if err = p.wantOp(":"); err != nil {
		return nil, nil, err
	}
	v, err = p.expr()
	return k, v, err
}

// comprehends says whether the bracket just entered holds a `for`. A comprehension must be known as such before its
// body is read, since its variables are declared behind the body.
func (p *parser) comprehends() bool { return p.findFor() >= 0 }

func (p *parser) findFor() int {
	depth := 0
	for i := p.i; p.toks[i].kind != tEnd; i++ {
		t := p.toks[i]
		if t.kind == tName && t.val == "for" && depth == 0 {
			return i
		}
		if t.kind != tOp {
			continue
		}
		switch t.val {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth < 0 {
				return -1
			}
		}
	}
	return -1
}

func (p *parser) comprehension(at place, closing string) (expr, error) {
	body, clauses := p.i, p.findFor()
	e := &comprehensionExpr{place: at}
	p.scope = p.scope.inner()
	defer func() { p.scope = p.scope.outer }()
	e.lo = p.scope.fn.slots
	for p.i = clauses; p.word("for") || p.word("if"); {
		if err := p.tooLong(len(e.clauses) * 10); err != nil { // each clause is a level of recursion
			return nil, err
		}
		at := p.here()
		if p.acceptWord("if") {
			cond, err := p.or()
			if err != nil {
				return nil, err
			}
			e.clauses = append(e.clauses, clause{place: at, cond: cond})
			continue
		}
		p.i++
		names, err := p.targetNames()
		if err != nil {
			return nil, err
		}
		if !p.acceptWord("in") {
			return nil, p.unexpected("want in")
		}
		in, err := p.or()
		if err != nil {
			return nil, err
		}
		e.clauses = append(e.clauses, clause{at, p.declareAll(names), in, nil})
	}
	end := p.i
	if err := p.wantOp(closing); err != nil {
		return nil, err
	}
	p.i = body
	var err error
	if closing == "}" {
		e.key, e.body, err = p.entry()
	} else {
		e.body, err = p.expr()
	}
	if err != nil {
		return nil, err
	}
	if p.i != clauses {
		return nil, p.unexpected("want for")
	}
	e.hi = p.scope.fn.slots
	p.i = end + 1
	return e, nil
}

// targetNames reads "a" or "a, b" or "(a, b)".
func (p *parser) targetNames() ([]token, error) {
	paren := p.acceptOp("(")
	var names []token
	for {
		t, err := p.name("the name of a variable")
		if err != nil {
			return nil, err
		}
		names = append(names, t)
		if !p.acceptOp(",") || p.op(")") {
			break
		}
	}
	if paren {
		return names, p.wantOp(")")
	}
	return names, nil
}

func (p *parser) declareAll(names []token) target {
	var t target
	for _, n := range names {
		t = append(t, p.scope.declare(n.val))
	}
	return t
}
