package interp

import (
	"fmt"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"fabgo/internal/token"
)

// fileOptions is the dialect of bundles and libraries: Starlark with sets and top-level for and if. Without while and
// recursion every evaluation ends.
func fileOptions() *syntax.FileOptions {
	return &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}
}

// preludeOptions allows recursion, for one reason: attempt(lambda: attempt(...)) has the prelude's attempt twice on the
// stack. The user's own functions in between are still refused when they recur.
func preludeOptions() *syntax.FileOptions {
	o := fileOptions()
	o.Recursion = true
	return o
}

// dialect is what every file sees. There is no clock, no randomness and no environment.
func dialect() starlark.StringDict {
	d := starlark.StringDict{
		"json":   guardedJSON(),
		"math":   math.Module,
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
		"fail":   starlark.NewBuiltin("fail", fail),
	}
	for _, name := range []string{"list", "tuple", "set", "sorted", "reversed", "enumerate", "zip", "all", "any", "min", "max", "bytes"} {
		d[name] = guarded(name, measureLength)
	}
	for _, name := range []string{"str", "repr", "print"} {
		d[name] = guarded(name, measureText)
	}
	return d
}

// guarded is a function of the language itself that looks at its arguments first: it makes one step of what may be the
// work of years, or asks for more memory than there is.
func guarded(name string, check func(starlark.Value) error) *starlark.Builtin {
	inner := starlark.Universe[name].(*starlark.Builtin)
	return checked(name, inner, check)
}

// checked is a builtin whose arguments, however they are given, must pass a check.
func checked(name string, inner *starlark.Builtin, check func(starlark.Value) error) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		tellWhere(thread)
		for _, v := range args {
			if err := check(v); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, kv := range kwargs {
			if err := check(kv[1]); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		return inner.CallInternal(thread, args, kwargs)
	})
}

// fail(*args, sep = " ") ends the evaluation with a *FailError, which attempt can tell from a defect of the bundle.
func fail(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	sep := " "
	if err := starlark.UnpackArgs(b.Name(), nil, kwargs, "sep?", &sep); err != nil {
		return nil, err
	}
	words := make([]string, len(args))
	for i, v := range args {
		if s, ok := starlark.AsString(v); ok {
			words[i] = s
		} else if err := measureText(v); err != nil {
			return nil, fmt.Errorf("fail: %w", err)
		} else {
			words[i] = v.String()
		}
	}
	return nil, &FailError{Msg: strings.Join(words, sep)}
}

// guardedJSON is the json module with the three functions that a small input can make overflow the stack of the
// process, or run for ever, checked first.
func guardedJSON() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "json", Members: starlark.StringDict{}}
	for name, v := range json.Module.Members {
		f := v.(*starlark.Builtin)
		if name == "encode" {
			f = encodeTokens(f)
		}
		m.Members[name] = checked("json."+name, f, func(v starlark.Value) error {
			if s, ok := starlark.AsString(v); ok && name != "encode" {
				return measureJSON(s)
			}
			return measure(v)
		})
	}
	return m
}

// encodeTokens is json.encode for texts with tokens of secrets in them: what is escaped around a token is escaped in the secret too.
func encodeTokens(encode *starlark.Builtin) *starlark.Builtin {
	return starlark.NewBuiltin(encode.Name(), func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		v, err := encode.CallInternal(thread, args, kwargs)
		if err != nil {
			return nil, err
		}
		s, _ := starlark.AsString(v)
		out, err := token.JSON.Within(s)
		if err != nil {
			return nil, fmt.Errorf("json.encode: %w", err)
		}
		return starlark.String(out), nil
	})
}
