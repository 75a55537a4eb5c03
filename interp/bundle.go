package interp

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// Bundle is an opened bundle: its closure read, parsed, resolved and compiled, nothing of it run yet. It may be executed
// by many goroutines at once.
type Bundle struct {
	in      *Interp
	root    string
	main    *unit
	units   map[string]*unit // by canonical name
	order   []*unit          // dependencies first
	byFile  map[string]*unit // by displayed name
	library *libraries
}

// Open takes the snapshot of the bundle at path and all it loads. The error is a Problems when files are wrong: all that
// is wrong with all of them.
func (in *Interp) Open(path string) (*Bundle, error) {
	d, err := in.openDisk(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s, problems := in.scan(d, d.bundle)
	if len(problems) > 0 {
		return nil, problems
	}
	return in.assemble(s, d.bundle, d.root), nil
}

// OpenClosure opens a bundle from a snapshot that was taken before; nothing else is read.
func (in *Interp) OpenClosure(c Closure) (*Bundle, error) {
	m, err := newMemory(c)
	if err != nil {
		return nil, err
	}
	s, problems := in.scan(m, c.Bundle)
	if len(problems) > 0 {
		return nil, problems
	}
	return in.assemble(s, c.Bundle, ""), nil
}

// assemble makes a bundle of a scan without problems.
func (in *Interp) assemble(s *scanner, name, root string) *Bundle {
	b := &Bundle{in: in, root: root, main: s.units[name], units: s.units, order: s.order, byFile: map[string]*unit{}}
	for _, u := range s.units {
		b.byFile[u.display] = u
	}
	b.library = newLibraries(b)
	return b
}

// Name is the canonical name of the bundle: "//web1.star".
func (b *Bundle) Name() string { return b.main.name }

// Display is the name of the bundle as the user gave it.
func (b *Bundle) Display() string { return b.main.display }

// Root is the folder that "//" means, absolute; "" for a bundle opened from a closure.
func (b *Bundle) Root() string { return b.root }

// Canonical is the canonical name ("//lib/x.star", "@fab//x.star") of a file as a Position names it, or "".
func (b *Bundle) Canonical(file string) string {
	if u := b.byFile[file]; u != nil {
		return u.name
	}
	return ""
}

// Closure is the snapshot, for shipping and for the record of a run.
func (b *Bundle) Closure() Closure {
	c := Closure{Bundle: b.main.name}
	for _, u := range b.units {
		c.Files = append(c.Files, File{Name: u.name, Display: u.display, Content: u.src})
	}
	sort.Slice(c.Files, func(i, j int) bool { return c.Files[i].Name < c.Files[j].Name })
	return c
}

// Digest is the digest of the closure.
func (b *Bundle) Digest() string { return b.Closure().Digest() }

// Doc is the bundle's module docstring and public functions.
func (b *Bundle) Doc() *FileDoc { return fileDoc(b.main.name, b.main.src, b.main.ast) }

// Libraries is the documentation of the files that the bundle loads, sorted by name.
func (b *Bundle) Libraries() []FileDoc {
	var docs []FileDoc
	for _, u := range b.units {
		if u != b.main {
			docs = append(docs, *fileDoc(u.name, u.src, u.ast))
		}
	}
	sort.Slice(docs, func(i, j int) bool { return docs[i].Name < docs[j].Name })
	return docs
}

// StaticCall is a call found by reading, not running.
type StaticCall struct {
	Func       string // "var"
	Name       string // the first argument when it is a string literal; "" when it is computed
	HasDefault bool   // a default is given, by name or as the second argument
	Default    string // its source text
	Pos        Position
	Source     string // the text of the line
}

// Calls finds the calls of the named functions (var, secret) in the bundle itself, in the order of the text, so that all
// missing variables can be told at once, before anything is run. A name that the bundle defines itself is not the
// prelude's and is left out.
func (b *Bundle) Calls(funcs ...string) []StaticCall {
	var calls []StaticCall
	text := newSourceText(b.main.src)
	syntax.Walk(b.main.ast, func(n syntax.Node) bool {
		c, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		name := b.main.preludeName(c.Fn)
		if !slices.Contains(funcs, name) {
			return true
		}
		call := StaticCall{Func: name, Pos: position(syntax.Start(c.Fn))}
		call.Source = lineOf(b.main.src, call.Pos.Line)
		for i, arg := range c.Args {
			keyword, value := "", arg
			if kv, ok := arg.(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ {
				keyword, value = kv.X.(*syntax.Ident).Name, kv.Y
			}
			switch {
			case keyword == "name" || keyword == "" && i == 0:
				if lit, ok := value.(*syntax.Literal); ok && lit.Token == syntax.STRING {
					call.Name = lit.Value.(string)
				}
			case keyword == "default" || keyword == "" && i == 1:
				call.HasDefault, call.Default = true, text.of(value)
			}
		}
		calls = append(calls, call)
		return true
	})
	return calls
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
