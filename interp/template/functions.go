package template

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// functionTable is what a template can call without anyone handing it in: the functions of Starlark that build and
// look at values, and Jinja's namespace. Names in vars win over it.
func functionTable() map[string]starlark.Value {
	t := map[string]starlark.Value{}
	for _, name := range []string{"abs", "all", "any", "bool", "chr", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "ord", "range", "reversed", "sorted", "tuple", "type", "zip"} {
		t[name] = starlark.Universe[name]
	}
	for _, name := range []string{"str", "repr", "namespace"} {
		t[name] = boundFunction(name)
	}
	return t
}

// boundFunction is a function that needs the limits of the render; evaluation of the call finds it by its type.
type boundFunction string

func (f boundFunction) String() string        { return "<function " + string(f) + ">" }
func (f boundFunction) Type() string          { return "function" }
func (f boundFunction) Freeze()               {}
func (f boundFunction) Truth() starlark.Bool  { return true }
func (f boundFunction) Hash() (uint32, error) { return starlark.String(f).Hash() }
func (f boundFunction) Name() string          { return string(f) }

func (f boundFunction) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return nil, errorf("%s can be called by the template only: wrap it in a lambda", string(f))
}

func (f boundFunction) call(r *run, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if f == "namespace" {
		ns := &namespaceValue{vals: map[string]starlark.Value{}}
		if len(pos) > 0 {
			return nil, errorf("namespace: want named arguments only: namespace(found = False)")
		}
		for _, k := range kw {
			if err := r.measure(k[1]); err != nil {
				return nil, err
			}
			ns.set(string(k[0].(starlark.String)), k[1])
		}
		return ns, nil
	}
	if len(pos) != 1 || len(kw) > 0 {
		return nil, errorf("%s: want one argument", string(f))
	}
	if f == "str" {
		s, err := r.text(pos[0])
		return starlark.String(s), err
	}
	var b strings.Builder
	err := r.repr(&b, pos[0], 0)
	return starlark.String(b.String()), err
}

// namespaceValue is the one value that a template may change; it never leaves the render that made it.
type namespaceValue struct {
	names []string
	vals  map[string]starlark.Value
}

func (n *namespaceValue) set(name string, v starlark.Value) {
	if _, ok := n.vals[name]; !ok {
		n.names = append(n.names, name)
	}
	n.vals[name] = v
}

func (n *namespaceValue) String() string        { return "namespace(" + strings.Join(n.names, ", ") + ")" }
func (n *namespaceValue) Type() string          { return "namespace" }
func (n *namespaceValue) Freeze()               {}
func (n *namespaceValue) Truth() starlark.Bool  { return true }
func (n *namespaceValue) Hash() (uint32, error) { return 0, errorf("a namespace cannot be a key") }
func (n *namespaceValue) AttrNames() []string   { return slices.Clone(n.names) }

func (n *namespaceValue) Attr(name string) (starlark.Value, error) { return n.vals[name], nil }

// loopValue is `loop` within a for.
type loopValue struct {
	items   []starlark.Value
	i       int
	changed starlark.Value
}

var loopAttrs = []string{"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "cycle", "changed"}

func (l *loopValue) String() string        { return "loop" }
func (l *loopValue) Type() string          { return "loop" }
func (l *loopValue) Freeze()               {}
func (l *loopValue) Truth() starlark.Bool  { return true }
func (l *loopValue) Hash() (uint32, error) { return 0, errorf("a loop cannot be a key") }
func (l *loopValue) AttrNames() []string   { return slices.Clone(loopAttrs) }

func (l *loopValue) Attr(name string) (starlark.Value, error) {
	n := len(l.items)
	switch name {
	case "index":
		return starlark.MakeInt(l.i + 1), nil
	case "index0":
		return starlark.MakeInt(l.i), nil
	case "revindex":
		return starlark.MakeInt(n - l.i), nil
	case "revindex0":
		return starlark.MakeInt(n - l.i - 1), nil
	case "first":
		return starlark.Bool(l.i == 0), nil
	case "last":
		return starlark.Bool(l.i == n-1), nil
	case "length":
		return starlark.MakeInt(n), nil
	case "previtem":
		if l.i > 0 {
			return l.items[l.i-1], nil
		}
		return nil, missingf("loop.previtem: the first item has none")
	case "nextitem":
		if l.i+1 < n {
			return l.items[l.i+1], nil
		}
		return nil, missingf("loop.nextitem: the last item has none")
	case "cycle":
		return starlark.NewBuiltin("loop.cycle", func(_ *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			if len(pos) == 0 || len(kw) > 0 {
				return nil, errorf("loop.cycle: want the values to choose from")
			}
			return pos[l.i%len(pos)], nil
		}), nil
	case "changed":
		return starlark.NewBuiltin("loop.changed", func(_ *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			same := false
			if l.changed != nil {
				var err error
				if same, err = starlark.Equal(l.changed, pos); err != nil {
					return nil, err
				}
			}
			l.changed = pos
			return starlark.Bool(!same), nil
		}), nil
	}
	return nil, nil
}
