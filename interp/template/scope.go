package template

import (
	"slices"

	"go.starlark.net/starlark"
)

// function is a part of a template that has its own frame of slots: the template itself, a macro, a lambda.
type function struct {
	outer *function
	slots int
}

// scope maps the names that are bound in a block to slots of its function. A block that may run many times (a loop)
// clears its slots each time, and a name whose slot is empty is looked up further out: that gives Jinja's scoping,
// where `set` within a loop or an include ends with it.
type scope struct {
	outer *scope
	fn    *function
	names map[string]int
}

func (s *scope) inner() *scope { return &scope{outer: s, fn: s.fn, names: map[string]int{}} }

func (s *scope) innerFunction() *scope {
	return &scope{outer: s, fn: &function{outer: s.fn}, names: map[string]int{}}
}

func (s *scope) declare(name string) int {
	if slot, ok := s.names[name]; ok {
		return slot
	}
	slot := s.fn.slots
	s.fn.slots++
	s.names[name] = slot
	return slot
}

// ref is where a name may be found: so many frames up, in this slot.
type ref struct{ up, slot int }

func (s *scope) lookup(name string) []ref {
	var refs []ref
	up := 0
	for ; s != nil; s = s.outer {
		if slot, ok := s.names[name]; ok {
			refs = append(refs, ref{up, slot})
		}
		if s.outer != nil && s.outer.fn != s.fn {
			up++
		}
	}
	return refs
}

func (s *scope) visible() []string {
	var names []string
	for ; s != nil; s = s.outer {
		for n := range s.names {
			names = append(names, n)
		}
	}
	return names
}

// use is a place where the template needs a name that only vars can provide.
type use struct {
	node  *nameExpr
	scope *scope // whose names are candidates for "did you mean"
}

// dropUses forgets the uses, from mark on, of names that the given test shows to be defined where they stand.
func (p *parser) dropUses(mark int, names []string) {
	if len(names) == 0 {
		return
	}
	kept := p.c.uses[:mark]
	for _, u := range p.c.uses[mark:] {
		if !slices.Contains(names, u.node.name) {
			kept = append(kept, u)
		}
	}
	p.c.uses = kept
}

// optional marks the name at the root of a.b[c] as one that need not exist.
func (p *parser) optional(e expr, mark int) {
	for {
		switch x := e.(type) {
		case *nameExpr:
			kept := p.c.uses[:mark]
			for _, u := range p.c.uses[mark:] {
				if u.node != x {
					kept = append(kept, u)
				}
			}
			p.c.uses = kept
			return
		case *attrExpr:
			e = x.of
		case *indexExpr:
			e = x.of
		default:
			return
		}
	}
}

// implied returns the names that are surely defined when e has the given truth.
func implied(e expr, truth bool) []string {
	switch x := e.(type) {
	case *testExpr:
		name, ok := x.of.(*nameExpr)
		if !ok {
			return nil
		}
		is := x.test.name == "defined"
		if !is && x.test.name != "undefined" {
			return nil
		}
		if (is != x.negate) == truth {
			return []string{name.name}
		}
	case *notExpr:
		return implied(x.x, !truth)
	case *andExpr:
		if truth {
			return append(implied(x.x, true), implied(x.y, true)...)
		}
	case *orExpr:
		if !truth {
			return append(implied(x.x, false), implied(x.y, false)...)
		}
	}
	return nil
}

// frame holds the values of a running function's slots; nil is "not set".
type frame struct {
	slots []starlark.Value
	outer *frame
}
