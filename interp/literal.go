package interp

import (
	"math/big"
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// LiteralCall is a call of a builtin in a bundle or one of its libraries, with those of its arguments that stand there as literals.
type LiteralCall struct {
	Function string // "file.put"
	File     string // canonical name of the file
	Pos      Position
	Source   string // the text of the line
	Args     map[string]Literal
	More     bool // *args or **kwargs may bring those that are missing from Args
}

// Literal is an argument as far as it can be read without running anything.
type Literal struct {
	Pos    Position
	Source string         // the text of its line
	Value  starlark.Value // a string, number, True, False or None; nil: it is something else, or computed
	IsDict bool
	Keys   []string // of a dict all of whose keys are strings
}

// Text is the literal when it is a string.
func (l Literal) Text() (string, bool) { return starlark.AsString(l.Value) }

// LiteralCalls finds the calls of public functions of the prelude in all files of the bundle, in the order of the text: of those that are
// named, or of all. Arguments given by position get their parameter's name; those that are not given are missing from Args.
func (b *Bundle) LiteralCalls(names ...string) []LiteralCall {
	positional := map[string][]string{}
	var calls []LiteralCall
	for _, u := range b.order {
		syntax.Walk(u.ast, func(n syntax.Node) bool {
			c, ok := n.(*syntax.CallExpr)
			if !ok {
				return true
			}
			name := u.preludeName(c.Fn)
			fn := b.in.Function(name)
			if fn == nil || len(names) > 0 && !slices.Contains(names, name) {
				return true
			}
			if _, known := positional[name]; !known {
				positional[name] = fn.sig.positional()
			}
			call := LiteralCall{Function: name, File: u.name, Pos: position(syntax.Start(c.Fn)), Args: map[string]Literal{}}
			call.Source = lineOf(u.src, call.Pos.Line)
			add := func(param string, e syntax.Expr) {
				l := literal(e)
				l.Source = lineOf(u.src, l.Pos.Line)
				call.Args[param] = l
			}
			for i, arg := range c.Args {
				switch a := arg.(type) {
				case *syntax.BinaryExpr:
					if a.Op == syntax.EQ {
						add(a.X.(*syntax.Ident).Name, a.Y)
						continue
					}
				case *syntax.UnaryExpr:
					if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
						call.More = true
						continue
					}
				}
				if params := positional[name]; i < len(params) && !call.More {
					add(params[i], arg)
				}
			}
			calls = append(calls, call)
			return true
		})
	}
	return calls
}

func literal(e syntax.Expr) Literal {
	l := Literal{Pos: position(syntax.Start(e))}
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return literal(e.X)
	case *syntax.Ident:
		if b, ok := e.Binding.(*resolve.Binding); ok && b.Scope == resolve.Universal {
			switch v := starlark.Universe[e.Name].(type) {
			case starlark.Bool, starlark.NoneType:
				l.Value = v
			}
		}
	case *syntax.UnaryExpr:
		if x := literal(e.X); e.Op == syntax.MINUS {
			if v, err := starlark.Unary(syntax.MINUS, x.Value); x.Value != nil && err == nil {
				l.Value = v
			}
		}
	case *syntax.Literal:
		switch v := e.Value.(type) {
		case string:
			if e.Token == syntax.STRING {
				l.Value = starlark.String(v)
			}
		case int64:
			l.Value = starlark.MakeInt64(v)
		case *big.Int:
			l.Value = starlark.MakeBigInt(v)
		case float64:
			l.Value = starlark.Float(v)
		}
	case *syntax.DictExpr:
		l.IsDict = true
		for _, entry := range e.List {
			k, ok := literal(entry.(*syntax.DictEntry).Key).Text()
			if !ok {
				return Literal{Pos: l.Pos}
			}
			l.Keys = append(l.Keys, k)
		}
	}
	return l
}

// Texts are all the strings that a bundle and its libraries spell out, each once, in the order of the text.
func (b *Bundle) Texts() []string {
	var out []string
	seen := map[string]bool{}
	for _, u := range b.order {
		syntax.Walk(u.ast, func(n syntax.Node) bool {
			if lit, ok := n.(*syntax.Literal); ok && lit.Token == syntax.STRING {
				if s := lit.Value.(string); !seen[s] {
					seen[s] = true
					out = append(out, s)
				}
			}
			return true
		})
	}
	return out
}
