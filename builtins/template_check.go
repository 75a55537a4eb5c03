package builtins

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"fabgo/interp"
	"fabgo/interp/template"
)

// CheckTemplates compiles the templates that a bundle and its libraries name literally, and finds the names in them that vars do not
// provide, where vars are a literal too. It runs nothing. read gives a source by the controller's name for it.
func CheckTemplates(b *interp.Bundle, read func(name string) ([]byte, error)) interp.Problems {
	var found interp.Problems
	for _, c := range b.LiteralCalls("file.template") {
		src, ok := c.Args["src"].Text()
		if !ok {
			continue
		}
		call := interp.Frame{Position: c.Pos, Source: c.Source}
		name, err := interp.ResolveSource(c.File, src)
		if err != nil {
			found = append(found, &interp.Problem{Pos: c.Pos, Source: c.Source, Msg: "file.template: src: " + err.Error()})
			continue
		}
		text, err := read(name)
		if err != nil {
			found = append(found, &interp.Problem{Pos: c.Pos, Source: c.Source, Msg: "file.template: " + err.Error(), Err: err, Hint: "src is relative to the .star file that names it"})
			continue
		}
		found = append(found, compileErrors(name, text, c.Args["vars"], given(c, "vars"), call, read)...)
	}
	return found
}

func given(c interp.LiteralCall, name string) bool {
	_, ok := c.Args[name]
	return ok || c.More
}

func compileErrors(name string, text []byte, vars interp.Literal, hasVars bool, call interp.Frame, read func(string) ([]byte, error)) interp.Problems {
	var names []string // nil: they cannot be told
	if !hasVars || vars.IsDict {
		names = append([]string{}, vars.Keys...)
	}
	module, file := "", name
	if m, f, ok := strings.Cut(name, "//"); ok {
		module, file = m+"//", f
	}
	_, err := template.Compile(file, text, names, template.Options{Load: func(inc string) ([]byte, error) {
		if clean := path.Clean(inc); module != "" && (clean == ".." || strings.HasPrefix(clean, "../") || path.IsAbs(clean)) {
			return nil, errors.New("it leads out of the repository")
		}
		b, err := read(module + inc)
		if err != nil {
			return nil, errors.Join(err, fs.ErrNotExist)
		}
		return b, nil
	}})
	var found interp.Problems
	for _, te := range templateErrors(err) {
		found = append(found, &interp.Problem{
			Pos: interp.Position{File: te.File, Line: te.Line, Col: te.Col}, Msg: te.Msg, Source: te.Source, Chain: []interp.Frame{call}, Err: te,
		})
	}
	if err != nil && len(found) == 0 {
		found = append(found, &interp.Problem{Pos: call.Position, Source: call.Source, Msg: "file.template: " + err.Error(), Err: err})
	}
	return found
}

// templateErrors takes joined errors apart.
func templateErrors(err error) []*template.Error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*template.Error
		for _, e := range many.Unwrap() {
			out = append(out, templateErrors(e)...)
		}
		return out
	}
	if te, ok := errors.AsType[*template.Error](err); ok {
		return []*template.Error{te}
	}
	return nil
}
