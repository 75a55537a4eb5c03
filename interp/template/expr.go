package template

import (
	"slices"
	"strconv"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The limits that keep both the parser's and the evaluator's recursion far from the end of Go's stack.
const (
	maxNesting = 150 // brackets within brackets, blocks within blocks
	maxChain   = 500 // operators, filters or attributes in a row
)

type expr interface {
	eval(r *run) (starlark.Value, error)
	pos() place
}

func (p place) pos() place { return p }

// parser reads the tags of one file. Grammar and precedence are Jinja's:
// if-else < or < and < not < comparisons < ^ < & < shifts < + - < ~ < * / // % < unary - + < filters, tests, calls.
type parser struct {
	c     *compiler
	scan  *scanner
	toks  []token
	i     int
	depth int
	scope *scope
	guard []string // names that a surrounding `is defined` vouches for
	chain []string // the files that include this one
	tag   tag      // the current one
}

func (p *parser) tok() token       { return p.toks[p.i] }
func (p *parser) at(off int) place { return place{p.scan.src, off} }
func (p *parser) here() place      { return p.at(p.tok().off) }
func (p *parser) op(s string) bool { t := p.tok(); return t.kind == tOp && t.val == s }
func (p *parser) word(s string) bool {
	t := p.tok()
	return t.kind == tName && t.val == s
}

func (p *parser) acceptOp(s string) bool {
	if p.op(s) {
		p.i++
		return true
	}
	return false
}

func (p *parser) acceptWord(s string) bool {
	if p.word(s) {
		p.i++
		return true
	}
	return false
}

func (p *parser) wantOp(s string) error {
	if p.acceptOp(s) {
		return nil
	}
	return p.unexpected("want " + s)
}

func (p *parser) unexpected(want string) error {
	t := p.tok()
	got := strconv.Quote(t.val)
	switch {
	case t.kind == tEnd:
		got = "the end of the tag"
	case t.kind == tStr:
		got = "a string"
	case t.kind == tOp && t.val == "**":
		return p.here().errorf("there is no ** operator: use x | pow(y)")
	}
	return p.here().errorf("unexpected %s: %s", got, want)
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxNesting {
		return p.here().errorf("nested too deeply: more than %d levels", maxNesting)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) tooLong(n int) error {
	if n > maxChain {
		return p.here().errorf("expression too long: more than %d operators in a row", maxChain)
	}
	return nil
}

var keywords = []string{"and", "or", "not", "if", "else", "in", "is", "for", "lambda", "elif"}

// name reads an identifier that is to be bound.
func (p *parser) name(what string) (token, error) {
	t := p.tok()
	if t.kind != tName || slices.Contains(keywords, t.val) || constant(t.val) != nil {
		return t, p.unexpected("want " + what)
	}
	p.i++
	return t, nil
}

func constant(name string) starlark.Value {
	switch name {
	case "true", "True":
		return starlark.True
	case "false", "False":
		return starlark.False
	case "none", "None":
		return starlark.None
	}
	return nil
}

// tuple reads an expression, or several with commas between them, as in `for x in 1, 2`.
func (p *parser) tuple(cond bool) (expr, error) {
	at := p.here()
	one := p.expr
	if !cond {
		one = p.or
	}
	first, err := one()
	if err != nil || !p.op(",") {
		return first, err
	}
	list := []expr{first}
	for p.acceptOp(",") {
		if p.tok().kind == tEnd || p.op(")") || p.op("=") {
			break
		}
		e, err := one()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return &tupleExpr{at, list}, nil
}

func (p *parser) expr() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.word("lambda") {
		return p.lambda()
	}
	mark := len(p.c.uses)
	x, err := p.or()
	if err != nil || !p.word("if") {
		return x, err
	}
	at := p.here()
	p.i++
	between := len(p.c.uses)
	cond, err := p.or()
	if err != nil {
		return nil, err
	}
	tail := slices.Clone(p.c.uses[between:])
	p.c.uses = p.c.uses[:between]
	p.dropUses(mark, implied(cond, true))
	p.c.uses = append(p.c.uses, tail...)
	if !p.acceptWord("else") {
		return nil, p.here().errorf("an inline if wants an else: x if condition else y")
	}
	other, err := guarded(p, implied(cond, false), p.expr)
	if err != nil {
		return nil, err
	}
	return &condExpr{at, cond, x, other}, nil
}

// guarded parses with f while names are known to be defined.
func guarded[T any](p *parser, names []string, f func() (T, error)) (T, error) {
	was := p.guard
	p.guard = append(slices.Clip(was), names...)
	defer func() { p.guard = was }()
	return f()
}

func (p *parser) or() (expr, error) {
	x, err := p.and()
	for n := 0; err == nil && p.word("or"); n++ {
		at := p.here()
		if err := p.tooLong(n); err != nil {
			return nil, err
		}
		p.i++
		var y expr
		if y, err = guarded(p, implied(x, false), p.and); err != nil {
			return nil, err
		}
		x = &orExpr{at, x, y}
	}
	return x, err
}

func (p *parser) and() (expr, error) {
	x, err := p.not()
	for n := 0; err == nil && p.word("and"); n++ {
		at := p.here()
		if err := p.tooLong(n); err != nil {
			return nil, err
		}
		p.i++
		var y expr
		if y, err = guarded(p, implied(x, true), p.not); err != nil {
			return nil, err
		}
		x = &andExpr{at, x, y}
	}
	return x, err
}

func (p *parser) not() (expr, error) {
	if !p.word("not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.here()
	p.i++
	x, err := p.not()
	if err != nil {
		return nil, err
	}
	return &notExpr{at, x}, nil
}

func (p *parser) comparison() (op syntax.Token, negate, ok bool) {
	t := p.tok()
	if t.kind == tOp {
		op, ok = map[string]syntax.Token{"==": syntax.EQL, "!=": syntax.NEQ, "<": syntax.LT, "<=": syntax.LE, ">": syntax.GT, ">=": syntax.GE}[t.val]
		return op, false, ok
	}
	if t.kind == tName && t.val == "in" {
		return syntax.IN, false, true
	}
	if next := p.toks[min(p.i+1, len(p.toks)-1)]; t.kind == tName && t.val == "not" && next.kind == tName && next.val == "in" {
		return syntax.IN, true, true
	}
	return 0, false, false
}

func (p *parser) compare() (expr, error) {
	x, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	op, negate, ok := p.comparison()
	if !ok {
		return x, nil
	}
	at := p.here()
	p.i++
	if negate {
		p.i++
	}
	y, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if _, _, again := p.comparison(); again {
		return nil, p.here().errorf("comparisons do not chain: write a < b and b < c")
	}
	var e expr = &binaryExpr{at, op, x, y}
	if negate {
		e = &notExpr{at, e}
	}
	return e, nil
}

// levels of binary operators, loosest first. TILDE stands for Jinja's concatenation.
var levels = []map[string]syntax.Token{
	{"^": syntax.CIRCUMFLEX},
	{"&": syntax.AMP},
	{"<<": syntax.LTLT, ">>": syntax.GTGT},
	{"+": syntax.PLUS, "-": syntax.MINUS},
	{"~": syntax.TILDE},
	{"*": syntax.STAR, "/": syntax.SLASH, "//": syntax.SLASHSLASH, "%": syntax.PERCENT},
}

func (p *parser) binary(level int) (expr, error) {
	if level == len(levels) {
		return p.unary(true)
	}
	x, err := p.binary(level + 1)
	for n := 0; err == nil && p.tok().kind == tOp; n++ {
		op, ok := levels[level][p.tok().val]
		if !ok {
			break
		}
		if err := p.tooLong(n); err != nil {
			return nil, err
		}
		at := p.here()
		p.i++
		var y expr
		if y, err = p.binary(level + 1); err != nil {
			return nil, err
		}
		x = &binaryExpr{at, op, x, y}
	}
	return x, err
}

// unary reads signs. In Jinja a filter applies to the signed number: -1 | abs is 1.
func (p *parser) unary(filters bool) (expr, error) {
	mark := len(p.c.uses)
	at := p.here()
	var x expr
	var err error
	if ops := map[string]syntax.Token{"-": syntax.MINUS, "+": syntax.PLUS, "~": syntax.TILDE}; p.tok().kind == tOp && ops[p.tok().val] != 0 {
		op := ops[p.tok().val]
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		p.i++
		if x, err = p.unary(false); err != nil {
			return nil, err
		}
		x = &unaryExpr{at, op, x}
	} else {
		if x, err = p.primary(); err != nil {
			return nil, err
		}
		if x, err = p.postfix(x); err != nil {
			return nil, err
		}
	}
	if !filters {
		return x, nil
	}
	return p.filters(x, mark)
}
