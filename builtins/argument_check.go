package builtins

import (
	"cmp"
	"maps"
	"slices"

	"go.starlark.net/starlark"

	"fabgo/interp"
)

// checkLocal is the thread local that makes natives read their arguments and do nothing else.
const checkLocal = "fabgo.check"

// CheckArguments finds arguments that a bundle and its libraries give literally and that their builtin would refuse: mode = 644, a path
// that is not absolute, a text for a number. It runs nothing.
func CheckArguments(b *interp.Bundle) interp.Problems {
	natives := Natives()
	thread := &starlark.Thread{Name: "check"}
	thread.SetLocal(checkLocal, true)
	var found interp.Problems
	for _, c := range b.LiteralCalls() {
		native, ok := natives["_"+dotless(c.Function)]
		if !ok {
			continue // its arguments are for others
		}
		names := slices.SortedFunc(maps.Keys(c.Args), func(a, b string) int {
			p, q := c.Args[a].Pos, c.Args[b].Pos
			return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Col, q.Col))
		})
		for _, name := range names {
			l := c.Args[name]
			if l.Value == nil {
				continue
			}
			if _, err := starlark.Call(thread, native, nil, []starlark.Tuple{{starlark.String(name), l.Value}}); err != nil {
				found = append(found, &interp.Problem{Pos: l.Pos, Source: l.Source, Msg: c.Function + ": " + err.Error()})
			}
		}
	}
	return found
}
