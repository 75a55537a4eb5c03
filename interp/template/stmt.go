package template

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// compiler is what the files of one template share.
type compiler struct {
	opts      Options
	filters   map[string]*spec
	tests     map[string]*spec
	functions map[string]starlark.Value
	uses      []use
	includes  []string
	bytes     int // of source, all files together
	files     int
}

// The limits of a template with all its includes.
const (
	maxSource = 256 << 10 // bytes of one file
	maxTotal  = 4 << 20   // bytes of all files, each counted as often as it is included
	maxFiles  = 1000      // files, each counted as often as it is included
)

// file parses one file within a scope. chain holds the files that lead to it, itself last.
func (c *compiler) file(name string, text []byte, s *scope, chain, guard []string) ([]node, error) {
	src := &source{name, strings.ReplaceAll(string(text), "\r\n", "\n")}
	start := place{src, 0}
	c.files++
	c.bytes += len(text)
	switch {
	case len(text) > maxSource:
		return nil, start.errorf("this template is too large: %d bytes, the limit is %d", len(text), maxSource)
	case c.bytes > maxTotal || c.files > maxFiles:
		return nil, start.errorf("too many includes: the limits are %d files and %d bytes", maxFiles, maxTotal)
	}
	p := &parser{c: c, scope: s, chain: chain, guard: guard}
	p.scan = &scanner{src: src, trim: !c.opts.NoTrimBlocks, lstrip: c.opts.LstripBlocks}
	if err := p.scan.header(); err != nil {
		return nil, err
	}
	nodes, end, err := p.block()
	if err != nil {
		return nil, err
	}
	if end != "" {
		return nil, p.stray(end)
	}
	return nodes, nil
}

// stray reports a closing tag that closes nothing.
func (p *parser) stray(word string) error {
	at := p.at(p.toks[0].off)
	if open, ok := strings.CutPrefix(word, "end"); ok {
		return at.errorf("unexpected %s: no %s is open", word, open)
	}
	return at.errorf("unexpected %s: it belongs in an if or a for", word)
}

var closers = []string{"elif", "else", "endif", "endfor", "endset", "endmacro", "endwith", "endfilter", "endcall", "endraw"}

// block reads nodes up to a tag that ends a block, and leaves the parser behind that tag's first word; end is this
// word, or "" at the end of the file.
func (p *parser) block() (nodes []node, end string, err error) {
	if p.depth++; p.depth > maxNesting {
		return nil, "", p.at(p.tag.off).errorf("nested too deeply: more than %d levels", maxNesting)
	}
	defer func() { p.depth-- }()
	for {
		start := p.at(p.scan.off)
		text, t, err := p.scan.next()
		if err != nil {
			return nil, "", err
		}
		if text != "" {
			nodes = append(nodes, &textNode{start, text})
		}
		switch t.open {
		case "":
			return nodes, "", nil
		case "{#", "raw":
			continue
		}
		p.tag, p.toks, p.i = t, t.toks, 0
		if t.open == "{{" {
			e, err := p.tuple(true)
			if err != nil {
				return nil, "", err
			}
			if err := p.finish(); err != nil {
				return nil, "", err
			}
			nodes = append(nodes, &outNode{e.pos(), e})
			continue
		}
		word := p.tok()
		if word.kind != tName {
			return nil, "", p.unexpected("want the name of a tag, such as if or for")
		}
		p.i++
		if slices.Contains(closers, word.val) {
			return nodes, word.val, nil
		}
		n, err := p.statement(word)
		if err != nil {
			return nil, "", err
		}
		if n != nil {
			nodes = append(nodes, n)
		}
	}
}

func (p *parser) finish() error {
	if p.tok().kind == tEnd {
		return nil
	}
	if p.tag.open == "{{" {
		return p.unexpected("want an operator, | or }}")
	}
	return p.unexpected("want %}")
}

// body reads a block that must be ended by one of the given words; opened names the tag for the error.
func (p *parser) body(opened token, ends ...string) ([]node, string, error) {
	if err := p.finish(); err != nil {
		return nil, "", err
	}
	nodes, end, err := p.block()
	if err != nil {
		return nil, "", err
	}
	if slices.Contains(ends, end) {
		if end != "elif" {
			err = p.finish()
		}
		return nodes, end, err
	}
	if end == "" {
		return nil, "", p.at(opened.off).errorf("this %s is never closed: missing {%% %s %%}", opened.val, ends[len(ends)-1])
	}
	return nil, "", p.at(p.toks[0].off).errorf("unexpected %s: the %s of line %d wants %s", end, opened.val, p.at(opened.off).errorf("").Line, strings.Join(ends, ", "))
}

func (p *parser) statement(word token) (node, error) {
	at := p.at(word.off)
	switch word.val {
	case "if":
		return p.ifTag(word)
	case "for":
		return p.forTag(word)
	case "set":
		return p.setTag(word)
	case "include":
		return p.includeTag(at)
	case "macro":
		return p.macroTag(word)
	case "call":
		return p.callTag(word)
	case "with":
		return p.withTag(word)
	case "filter":
		return p.filterTag(word)
	case "import", "from":
		return nil, at.errorf("there is no %s: include the file, and keep a macro in the file that uses it", word.val)
	case "extends", "block":
		return nil, at.errorf("there is no %s: templates are put together with include and macro", word.val)
	case "do":
		return nil, at.errorf("there is no do: a template changes no values; bind a new one with set")
	case "break", "continue":
		return nil, at.errorf("there is no %s: choose the items with {%% for x in xs if condition %%}", word.val)
	}
	known := []string{"if", "for", "set", "include", "macro", "call", "with", "filter", "raw"}
	return nil, at.errorf("unknown tag: %s%s", word.val, suggest(word.val, append(known, closers...)))
}

func (p *parser) ifTag(word token) (node, error) {
	n := &ifNode{}
	end := "elif"
	var false_ []string // names known to be defined because the tests so far were false
	opened := word
	for end != "endif" {
		var b branch
		names := slices.Clone(false_)
		if end == "elif" {
			cond, err := guarded(p, false_, p.testExpr)
			if err != nil {
				return nil, err
			}
			b.cond = cond
			names = append(names, implied(cond, true)...)
			false_ = append(false_, implied(cond, false)...)
		}
		ends := []string{"elif", "else", "endif"}
		if b.cond == nil {
			ends = ends[2:]
		}
		was := p.guard
		p.guard = append(slices.Clip(was), names...)
		var err error
		b.body, end, err = p.body(opened, ends...)
		p.guard = was
		if err != nil {
			return nil, err
		}
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func (p *parser) testExpr() (expr, error) { return p.tuple(true) }

func (p *parser) forTag(word token) (node, error) {
	n := &forNode{place: p.at(word.off)}
	names, err := p.targetNames()
	if err != nil {
		return nil, err
	}
	if !p.acceptWord("in") {
		return nil, p.unexpected("want in")
	}
	if n.in, err = p.tuple(false); err != nil {
		return nil, err
	}
	outer := p.scope
	p.scope = outer.inner()
	defer func() { p.scope = outer }()
	n.lo = p.scope.fn.slots
	n.vars = p.declareAll(names)
	var known []string
	if p.acceptWord("if") {
		if n.cond, err = p.tuple(true); err != nil {
			return nil, err
		}
		known = implied(n.cond, true)
	}
	if p.word("recursive") {
		return nil, p.here().errorf("there are no recursive loops: write a macro that calls itself")
	}
	n.loop = p.scope.declare("loop")
	was := p.guard
	p.guard = append(slices.Clip(was), known...)
	var end string
	n.body, end, err = p.body(word, "else", "endfor")
	p.guard = was
	if err != nil {
		return nil, err
	}
	n.hi = p.scope.fn.slots
	if end == "else" {
		p.scope = outer.inner()
		n.orElse, _, err = p.body(word, "endfor")
	}
	return n, err
}

func (p *parser) setTag(word token) (node, error) {
	at := p.here()
	first := p.tok()
	if next := p.toks[min(p.i+1, len(p.toks)-1)]; first.kind == tName && next.kind == tOp && next.val == "." {
		ns := p.nameRef(first)
		p.i += 2
		attr, err := p.name("the name of an attribute")
		if err != nil {
			return nil, err
		}
		if err := p.wantOp("="); err != nil {
			return nil, err
		}
		e, err := p.tuple(true)
		if err != nil {
			return nil, err
		}
		return &setAttrNode{at, ns, attr.val, e}, p.finish()
	}
	names, err := p.targetNames()
	if err != nil {
		return nil, err
	}
	if p.acceptOp("=") {
		e, err := p.tuple(true)
		if err != nil {
			return nil, err
		}
		return &setNode{at, p.declareAll(names), e}, p.finish()
	}
	if len(names) != 1 {
		return nil, p.unexpected("want =")
	}
	block, err := p.capture(word, "endset")
	if err != nil {
		return nil, err
	}
	return &setNode{at, p.declareAll(names), block}, nil
}

// capture reads "| filter ... %} body {% end %}": a block whose output is a value.
func (p *parser) capture(word token, end string) (expr, error) {
	block := &captureExpr{place: p.at(word.off)}
	var e expr = block
	mark := len(p.c.uses)
	var err error
	if p.op("|") {
		if e, err = p.filters(block, mark); err != nil {
			return nil, err
		}
	}
	outer := p.scope
	p.scope = outer.inner()
	defer func() { p.scope = outer }()
	block.lo = p.scope.fn.slots
	block.body, _, err = p.body(word, end)
	block.hi = p.scope.fn.slots
	return e, err
}

func (p *parser) filterTag(word token) (node, error) {
	// The tag names the filter where `set x | f` has a bar: put the bar there.
	p.toks = slices.Insert(slices.Clone(p.toks), p.i, token{tOp, "|", p.tok().off})
	e, err := p.capture(word, "endfilter")
	if err != nil {
		return nil, err
	}
	return &outNode{e.pos(), e}, nil
}

func (p *parser) withTag(word token) (node, error) {
	n := &withNode{}
	outer := p.scope
	inner := outer.inner()
	defer func() { p.scope = outer }()
	n.lo = inner.fn.slots
	for p.tok().kind != tEnd {
		t, err := p.name("the name of a variable")
		if err != nil {
			return nil, err
		}
		if err := p.wantOp("="); err != nil {
			return nil, err
		}
		e, err := p.expr() // sees what is outside, as in Jinja
		if err != nil {
			return nil, err
		}
		n.sets = append(n.sets, &setNode{p.at(t.off), target{inner.declare(t.val)}, e})
		if !p.acceptOp(",") {
			break
		}
	}
	p.scope = inner
	var err error
	n.body, _, err = p.body(word, "endwith")
	n.hi = inner.fn.slots
	return n, err
}
