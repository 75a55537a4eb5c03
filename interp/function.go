package interp

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Function is a public function of the prelude, as bundles hold it. It knows its name in full, and it checks the
// arguments of a call before the prelude's def sees them, so that a mistake is an error of the calling line and says
// what was meant.
type Function struct {
	sig  Signature // without what the docstring says: most functions are never asked for it
	impl *starlark.Function
}

var _ starlark.Callable = (*Function)(nil)

// Signature is how f is called, and its documentation.
func (f *Function) Signature() Signature {
	s := f.sig
	s.Params = slices.Clone(s.Params)
	s.document(dedent(f.impl.Doc()))
	return s
}

func (f *Function) Name() string              { return f.sig.Qualified() }
func (f *Function) String() string            { return "<builtin " + f.sig.Qualified() + ">" }
func (f *Function) Type() string              { return "builtin" }
func (f *Function) Freeze()                   {} // the prelude is frozen as a whole
func (f *Function) Truth() starlark.Bool      { return true }
func (f *Function) Hash() (uint32, error)     { return starlark.String(f.sig.Qualified()).Hash() }
func (f *Function) Position() syntax.Position { return f.impl.Position() }
func (f *Function) Doc() string               { return f.impl.Doc() }

func (f *Function) CallInternal(thread *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	defer func() {
		// A panic of a native unwinds the thread's stack; here, on its way, it can still be said where it happened.
		if r := recover(); r != nil {
			if pe, ok := r.(*PanicError); ok {
				panic(pe)
			}
			panic(&PanicError{Value: r, Stack: debug.Stack(), Frames: Callers(thread)})
		}
	}()
	names := make([]string, len(kwargs))
	for i, kv := range kwargs {
		names[i] = string(kv[0].(starlark.String))
	}
	if msg := f.sig.mismatch(call{positional: len(args), names: names}); msg != "" {
		return nil, fmt.Errorf("%s: %s", f.sig.Qualified(), msg)
	}
	tellWhere(thread)
	return starlark.Call(thread, f.impl, args, kwargs)
}

// call is what is known of a call: at run time all, in a static check perhaps not all.
type call struct {
	positional int
	names      []string
	open       bool // there is a *args or **kwargs whose content is not known
}

// mismatch says what is wrong with a call, or "".
func (s Signature) mismatch(c call) string {
	positional := 0
	var keywordOnly, all []string
	var varargs, kwargs bool
	for _, p := range s.Params {
		switch p.Kind {
		case Positional:
			positional++
			all = append(all, p.Name)
		case KeywordOnly:
			keywordOnly = append(keywordOnly, p.Name)
			all = append(all, p.Name)
		case VarArgs:
			varargs = true
		case KwArgs:
			kwargs = true
		}
	}
	given := map[string]bool{}
	for _, name := range c.names {
		given[name] = true
		known := false
		for i, p := range all {
			if p != name {
				continue
			}
			known = true
			if i < positional && i < c.positional {
				return fmt.Sprintf("argument %q is given twice, by position and by name", name)
			}
		}
		if !known && !kwargs {
			more := didYouMean(name, without(all, c.names))
			if more == "" {
				more = "; it is " + s.String()
			}
			return fmt.Sprintf("unexpected keyword argument %q%s", name, more)
		}
	}
	if c.positional > positional && !varargs {
		return tooMany(positional, c.positional, keywordOnly)
	}
	if c.open {
		return ""
	}
	var missing []string
	nth := 0
	for _, p := range s.Params {
		byPosition := false
		if p.Kind == Positional {
			byPosition = nth < c.positional
			nth++
		}
		if p.Required && !byPosition && !given[p.Name] {
			missing = append(missing, fmt.Sprintf("%q", p.Name))
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("missing %s %s; it is %s", plural(len(missing), "argument"), strings.Join(missing, ", "), s)
	}
	return ""
}

func tooMany(want, got int, keywordOnly []string) string {
	msg := fmt.Sprintf("takes %d positional %s, got %d", want, plural(want, "argument"), got)
	if want == 0 {
		msg = fmt.Sprintf("takes no positional arguments, got %d", got)
	}
	if len(keywordOnly) > 0 {
		msg += fmt.Sprintf(" (by name only: %s)", strings.Join(keywordOnly, ", "))
	}
	return msg
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// without is the names that are not taken: a misspelt argument means one that was not given.
func without(names, taken []string) []string {
	skip := map[string]bool{}
	for _, t := range taken {
		skip[t] = true
	}
	var rest []string
	for _, n := range names {
		if !skip[n] {
			rest = append(rest, n)
		}
	}
	return rest
}

// Family is the builtins of one prelude file: file in file.put.
type Family struct {
	name      string
	functions map[string]*Function
	names     []string // sorted
	values    []string // of a value that each Exec provides afresh: its attributes that are no functions
}

var _ starlark.HasAttrs = (*Family)(nil)

func (f *Family) String() string        { return "<family " + f.name + ">" }
func (f *Family) Type() string          { return "family" }
func (f *Family) Freeze()               {}
func (f *Family) Truth() starlark.Bool  { return true }
func (f *Family) Hash() (uint32, error) { return starlark.String(f.name).Hash() }
func (f *Family) AttrNames() []string   { return append([]string(nil), f.names...) }

// Attr answers file.put. The error is complete as it stands: the interpreter adds hints only to its own.
func (f *Family) Attr(name string) (starlark.Value, error) {
	if fn := f.functions[name]; fn != nil {
		return fn, nil
	}
	return nil, f.noSuch(name)
}

func (f *Family) noSuch(name string) error {
	all := append(slices.Clone(f.names), f.values...)
	sort.Strings(all)
	hint := didYouMean(name, all)
	if hint == "" {
		hint = " (it has " + strings.Join(all, ", ") + ")"
	}
	return fmt.Errorf("%s has no builtin %q%s", f.name, name, hint)
}
