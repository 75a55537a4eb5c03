package interp

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// CheckOptions tells Check what interp cannot know.
type CheckOptions struct {
	// NeedsSession reports whether a function of the prelude, by its qualified name, touches the host and so must not be
	// called while a library is loaded. Nil: none does.
	NeedsSession func(qualified string) bool
}

// Check finds all that can be told wrong with a bundle and its libraries without running them: what Open refuses, calls
// of the prelude that do not fit their signatures, builtins that do not exist, effects while a library is loaded, and
// functions defined twice. The bundle is nil when Open would refuse it; the error is for a path that cannot be
// looked into at all.
func (in *Interp) Check(path string, o CheckOptions) (*Bundle, Problems, error) {
	d, err := in.openDisk(path)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	s, problems := in.scan(d, d.bundle)
	if len(problems) == 0 {
		b := in.assemble(s, d.bundle, d.root)
		return b, b.Check(o), nil
	}
	for _, u := range s.order {
		problems = append(problems, in.checkUnit(u, u.name != d.bundle, o)...)
	}
	sortProblems(problems, s)
	return nil, problems, nil
}

// Check is the same for an opened bundle.
func (b *Bundle) Check(o CheckOptions) Problems {
	var problems Problems
	for _, u := range b.order {
		problems = append(problems, b.in.checkUnit(u, u != b.main, o)...)
	}
	return problems
}

// sortProblems orders them by the order in which the files were finished, then by line.
func sortProblems(problems Problems, s *scanner) {
	rank := map[string]int{}
	for i, u := range s.order {
		rank[u.display] = i
	}
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		if a.Pos.File != b.Pos.File {
			return rank[a.Pos.File] - rank[b.Pos.File]
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
}

func (in *Interp) checkUnit(u *unit, library bool, o CheckOptions) Problems {
	c := &checker{in: in, u: u, library: library, o: o}
	c.duplicates()
	for _, stmt := range u.ast.Stmts {
		c.walk(stmt, library)
	}
	return c.problems
}

type checker struct {
	in       *Interp
	u        *unit
	library  bool
	o        CheckOptions
	problems Problems
}

func (c *checker) report(pos syntax.Position, msg, hint string) {
	c.problems = append(c.problems, c.u.problem(position(pos), msg, hint))
}

// duplicates reports a name that two defs of the top level share: the first would silently be gone. A def in each branch
// of an if is a choice, not a slip.
func (c *checker) duplicates() {
	first := map[string]*syntax.DefStmt{}
	for _, stmt := range c.u.ast.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			name := stmt.Name.Name
			if prev := first[name]; prev != nil {
				c.report(stmt.Name.NamePos, fmt.Sprintf("%s is defined twice", name),
					fmt.Sprintf("the first, at line %d, is never used", prev.Name.NamePos.Line))
			}
			first[name] = stmt
		case *syntax.AssignStmt:
			if id, ok := stmt.LHS.(*syntax.Ident); ok && first[id.Name] != nil {
				c.report(id.NamePos, fmt.Sprintf("%s is a function, and is assigned another value here", id.Name),
					fmt.Sprintf("the function at line %d is lost", first[id.Name].Name.NamePos.Line))
			}
		}
	}
}

// walk checks the prelude calls under a node. loading says that the node is executed while a library is loaded.
func (c *checker) walk(n syntax.Node, loading bool) {
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			for _, p := range n.Params { // defaults are evaluated where the def stands
				c.walk(p, loading)
			}
			for _, s := range n.Body {
				c.walk(s, false)
			}
			return false
		case *syntax.LambdaExpr:
			for _, p := range n.Params {
				c.walk(p, loading)
			}
			c.walk(n.Body, false)
			return false
		case *syntax.CallExpr:
			c.call(n, loading)
		case *syntax.DotExpr:
			c.attribute(n)
		}
		return true
	})
}

// attribute reports file.putt.
func (c *checker) attribute(n *syntax.DotExpr) {
	family, name := c.u.preludeAttr(n)
	if family == "" {
		return
	}
	if fam, ok := c.in.prelude.families[family].(*Family); ok && fam.functions[name] == nil && !slices.Contains(fam.values, name) {
		c.report(n.Name.NamePos, fam.noSuch(name).Error(), "")
	}
}

func (c *checker) call(n *syntax.CallExpr, loading bool) {
	fn := c.in.prelude.byName[c.u.preludeName(n.Fn)]
	if fn == nil {
		return
	}
	if loading && c.o.NeedsSession != nil && c.o.NeedsSession(fn.Name()) {
		c.report(syntax.Start(n.Fn), fmt.Sprintf("%s is called while a library is loaded, when there is no host", fn.Name()),
			"put it in a function that the bundle calls")
	}
	var args call
	at := syntax.Start(n.Fn)
	for _, a := range n.Args {
		switch a := a.(type) {
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ {
				args.names = append(args.names, a.X.(*syntax.Ident).Name)
				continue
			}
		case *syntax.UnaryExpr:
			if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
				args.open = true
				continue
			}
		}
		args.positional++
	}
	if msg := fn.sig.mismatch(args); msg != "" {
		for _, a := range n.Args { // point at the argument, where one is to blame
			if kv, ok := a.(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ && strings.Contains(msg, fmt.Sprintf("argument %q", kv.X.(*syntax.Ident).Name)) {
				at = kv.X.(*syntax.Ident).NamePos
			}
		}
		c.report(at, fn.Name()+": "+msg, "")
	}
}

// preludeName is the qualified name of the prelude's function that an expression denotes, as far as that can be read:
// run, file.put. It is "" for what the file defines itself.
func (u *unit) preludeName(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return u.preludeName(e.X)
	case *syntax.Ident:
		if isPredeclared(e) {
			return e.Name
		}
	case *syntax.DotExpr:
		if family, name := u.preludeAttr(e); family != "" {
			return family + "." + name
		}
	}
	return ""
}

func (u *unit) preludeAttr(e *syntax.DotExpr) (family, name string) {
	if id, ok := e.X.(*syntax.Ident); ok && isPredeclared(id) {
		return id.Name, e.Name.Name
	}
	return "", ""
}

func isPredeclared(id *syntax.Ident) bool {
	b, ok := id.Binding.(*resolve.Binding)
	return ok && b.Scope == resolve.Predeclared
}
