package template

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

func (p *parser) includeTag(at place) (node, error) {
	target := p.here()
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	var names []string
	list := []expr{e}
	switch x := e.(type) {
	case *listExpr:
		list = x.items
	case *tupleExpr:
		list = x.items
	}
	for _, x := range list {
		lit, ok := x.(*constExpr)
		name, isStr := starlark.String(""), false
		if ok {
			name, isStr = lit.val.(starlark.String)
		}
		if !isStr || name == "" {
			return nil, target.errorf("include wants a path in quotes: the files of a template must be known before it is rendered")
		}
		names = append(names, string(name))
	}
	optional := false
	if p.acceptWord("ignore") {
		if !p.acceptWord("missing") {
			return nil, p.unexpected("want missing")
		}
		optional = true
	}
	if p.acceptWord("with") && !p.acceptWord("context") {
		return nil, p.unexpected("want context")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	for i, name := range names {
		full := path.Join(path.Dir(p.scan.src.name), name)
		if path.IsAbs(name) {
			full = path.Clean(name)
		}
		if j := slices.Index(p.chain, full); j >= 0 {
			return nil, target.errorf("include cycle: %s", strings.Join(append(slices.Clone(p.chain[j:]), full), " -> "))
		}
		if p.c.opts.Load == nil {
			return nil, target.errorf("include %q: no files can be included here", name)
		}
		if len(p.chain) > 50 {
			return nil, target.errorf("includes are nested too deeply: more than 50 files")
		}
		text, err := p.c.opts.Load(full)
		if errors.Is(err, fs.ErrNotExist) && (optional || i+1 < len(names)) {
			continue
		}
		if err != nil {
			e := target.errorf("include %q: %v", name, err)
			e.cause = err
			return nil, e
		}
		p.c.includes = append(p.c.includes, full)
		inner := p.scope.inner()
		lo := inner.fn.slots
		nodes, err := p.c.file(full, text, inner, append(slices.Clone(p.chain), full), p.guard)
		return &withNode{body: nodes, lo: lo, hi: inner.fn.slots}, err
	}
	return nil, nil
}
