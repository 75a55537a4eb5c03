package template

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// arguments are those of a call, as written.
type arguments struct {
	at          place
	pos         []expr
	kw          []keyword
	star, dstar expr
}

type keyword struct {
	at   place
	name string
	val  expr
}

func (p *parser) arguments() (arguments, error) {
	a := arguments{at: p.here()}
	if err := p.enter(); err != nil {
		return a, err
	}
	defer p.leave()
	p.i++
	for !p.op(")") {
		at := p.here()
		switch {
		case p.acceptOp("**"):
			e, err := p.expr()
			if err != nil {
				return a, err
			}
			a.dstar = e
		case p.acceptOp("*"):
			e, err := p.expr()
			if err != nil {
				return a, err
			}
			a.star = e
		case p.tok().kind == tName && p.toks[p.i+1].kind == tOp && p.toks[p.i+1].val == "=":
			name := p.tok().val
			p.i += 2
			e, err := p.expr()
			if err != nil {
				return a, err
			}
			if slices.ContainsFunc(a.kw, func(k keyword) bool { return k.name == name }) {
				return a, at.errorf("the argument %s is there twice", name)
			}
			a.kw = append(a.kw, keyword{at, name, e})
		default:
			if len(a.kw) > 0 || a.star != nil || a.dstar != nil {
				return a, at.errorf("a positional argument cannot follow a named one")
			}
			e, err := p.expr()
			if err != nil {
				return a, err
			}
			a.pos = append(a.pos, e)
		}
		if !p.acceptOp(",") {
			break
		}
	}
	return a, p.wantOp(")")
}

// application is a filter or test with its arguments bound to its parameters at compile time.
type application struct {
	place
	*spec
	bound []expr // one for each parameter; nil where none was given
	rest  []expr
	kw    []keyword
	inner *application // for map, select and their like: what they apply
}

// filters reads "| name(args)" and "is name args" behind x. mark is the number of uses before x.
func (p *parser) filters(x expr, mark int) (expr, error) {
	for n := 0; ; n++ {
		if err := p.tooLong(n); err != nil {
			return nil, err
		}
		switch {
		case p.acceptOp("|"):
			f, err := p.application(p.c.filters, "filter")
			if err != nil {
				return nil, err
			}
			if f.maybe {
				p.optional(x, mark)
			}
			x = &filterExpr{f.place, x, f}
		case p.acceptWord("is"):
			negate := p.acceptWord("not")
			t, err := p.application(p.c.tests, "test")
			if err != nil {
				return nil, err
			}
			if t.maybe {
				p.optional(x, mark)
			}
			x = &testExpr{t.place, x, t, negate}
			if p.word("is") {
				return nil, p.here().errorf("tests do not chain: join them with and")
			}
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

func (p *parser) application(table map[string]*spec, what string) (*application, error) {
	t := p.tok()
	if t.kind != tName {
		return nil, p.unexpected("want the name of a " + what)
	}
	p.i++
	s, err := p.find(table, what, t.val, p.at(t.off))
	if err != nil {
		return nil, err
	}
	args := arguments{at: p.at(t.off)}
	if p.op("(") {
		if args, err = p.arguments(); err != nil {
			return nil, err
		}
		args.at = p.at(t.off)
	} else if next := p.tok(); what == "test" && (next.kind != tOp && next.kind != tEnd || next.kind == tOp && strings.Contains("([{", next.val)) &&
		!(next.kind == tName && slices.Contains([]string{"else", "or", "and", "is", "if", "not", "in", "for"}, next.val)) {
		// Jinja's "x is divisibleby 3"
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		if e, err = p.postfix(e); err != nil {
			return nil, err
		}
		args.pos = []expr{e}
	}
	return p.bind(s, args)
}

func (p *parser) find(table map[string]*spec, what, name string, at place) (*spec, error) {
	if s := table[name]; s != nil {
		return s, nil
	}
	if why := refused[name]; why != "" && what == "filter" {
		return nil, at.errorf("there is no filter %s: %s", name, why)
	}
	var names []string
	for n := range table {
		names = append(names, n)
	}
	return nil, at.errorf("unknown %s: %s%s", what, name, suggest(name, names))
}

// bind puts arguments to the parameters of a filter or test, so that a wrong call is found before anything is rendered.
func (p *parser) bind(s *spec, a arguments) (*application, error) {
	if a.star != nil || a.dstar != nil {
		return nil, a.at.errorf("%s takes no * or ** arguments", s.name)
	}
	app := &application{place: a.at, spec: s, bound: make([]expr, len(s.params))}
	if s.inner != "" {
		return app, p.bindInner(app, a)
	}
	for i, e := range a.pos {
		if i < s.lead {
			app.bound[i] = e
		} else if s.rest {
			app.rest = append(app.rest, e)
		} else {
			return nil, e.pos().errorf("too many arguments: the usage is %s", s.usage())
		}
	}
	for _, k := range a.kw {
		i := slices.IndexFunc(s.params, func(q param) bool { return q.name == k.name })
		switch {
		case i >= 0 && app.bound[i] != nil:
			return nil, k.at.errorf("the argument %s is there twice", k.name)
		case i >= 0:
			app.bound[i] = k.val
		case s.kwrest:
			app.kw = append(app.kw, k)
		default:
			var names []string
			for _, q := range s.params {
				names = append(names, q.name)
			}
			return nil, k.at.errorf("unknown argument %s%s: the usage is %s", k.name, suggest(k.name, names), s.usage())
		}
	}
	for i, q := range s.params {
		if q.required && app.bound[i] == nil {
			return nil, a.at.errorf("missing argument %s: the usage is %s", q.name, s.usage())
		}
	}
	return app, nil
}

// bindInner handles the filters whose argument is the name of a filter or test: map('upper'), selectattr('x', 'eq', 1).
func (p *parser) bindInner(app *application, a arguments) error {
	lead := 0
	if app.attr { // the first argument names an attribute
		lead = 1
	}
	if len(a.pos) < lead {
		return a.at.errorf("missing argument attribute: the usage is %s", app.usage())
	}
	copy(app.bound, a.pos[:lead])
	if app.name == "map" && len(a.pos) == 0 {
		for _, k := range a.kw {
			i := slices.IndexFunc(app.params, func(q param) bool { return q.name == k.name })
			if i < 0 {
				return k.at.errorf("unknown argument %s%s: the usage is %s", k.name, suggest(k.name, []string{"attribute", "default"}), app.usage())
			}
			app.bound[i] = k.val
		}
		if app.bound[0] == nil {
			return a.at.errorf("missing argument: the usage is %s", app.usage())
		}
		return nil
	}
	if len(a.pos) == lead {
		if len(a.kw) > 0 {
			return a.kw[0].at.errorf("unknown argument %s: the usage is %s", a.kw[0].name, app.usage())
		}
		return nil
	}
	lit, ok := a.pos[lead].(*constExpr)
	name, isStr := starlark.String(""), false
	if ok {
		name, isStr = lit.val.(starlark.String)
	}
	if !isStr {
		return a.pos[lead].pos().errorf("%s wants the name of a %s in quotes", app.name, app.spec.inner)
	}
	table := p.c.filters
	if app.spec.inner == "test" {
		table = p.c.tests
	}
	s, err := p.find(table, app.spec.inner, string(name), lit.place)
	if err != nil {
		return err
	}
	if s.inner != "" {
		return lit.errorf("%s cannot apply %s", app.name, s.name)
	}
	app.inner, err = p.bind(s, arguments{at: lit.place, pos: a.pos[lead+1:], kw: a.kw})
	return err
}
