package builtins

import (
	"fmt"
	"io"
	"strings"

	"fabgo/interp"
)

// WriteReference writes docs/reference.md: every builtin and fact, from the prelude.
func WriteReference(w io.Writer, in *interp.Interp) error {
	p := &page{w: w}
	p.line("# Reference of the builtins")
	p.line("")
	p.line("Written by `make docs` from the prelude; `fabgo doc NAME` prints the same on the terminal. What follows `*` in a signature is given by")
	p.line("name only. Every builtin that changes something takes `label` and returns a Change, which is true when something changed, or was changed")
	p.line("by an earlier run of the bundle that did not reach its end.")
	families := in.Families()
	p.line("")
	for _, f := range families {
		p.line("- [%s](#%s): %s", familyTitle(f), anchor(familyTitle(f)), f.Summary)
	}
	for _, v := range Values() {
		p.line("- [%s](#%s): %s", v.Name, anchor(v.Name), v.Doc)
	}
	for _, f := range families {
		p.line("")
		p.line("## %s", familyTitle(f))
		p.line("")
		p.line("%s", f.Summary)
		p.text(f.Doc)
		if f.Name == "host" {
			p.line("")
			p.line("Facts are asked for when they are first read, and again after a command or a package installation.")
			p.line("")
			p.line("| fact | type | meaning |")
			p.line("|---|---|---|")
			for _, fact := range Facts() {
				p.line("| `host.%s` | %s | %s |", fact.Name, fact.Type, fact.Doc)
			}
		}
		for _, s := range f.Functions {
			p.function(s)
		}
	}
	for _, v := range Values() {
		p.line("")
		p.line("## %s", v.Name)
		p.line("")
		p.line("%s", v.Doc)
		p.line("")
		p.line("| attribute | type | meaning |")
		p.line("|---|---|---|")
		for _, a := range v.Attrs {
			p.line("| `.%s` | %s | %s |", a.Name, a.Type, a.Doc)
		}
	}
	return p.err
}

func familyTitle(f interp.FileDoc) string {
	if f.Name == "" {
		return "Plain names"
	}
	return f.Name
}

func anchor(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }

type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) text(s string) {
	if s != "" {
		p.line("")
		p.line("%s", s)
	}
}

func (p *page) function(s interp.Signature) {
	p.line("")
	p.line("### %s", s.Qualified())
	p.line("")
	p.line("```python")
	p.line("%s", s)
	p.line("```")
	p.line("")
	p.line("%s", s.Summary)
	p.text(s.Doc)
	documented := false
	for _, a := range s.Params {
		documented = documented || a.Doc != ""
	}
	if documented {
		p.line("")
		for _, a := range s.Params {
			p.line("- `%s`%s: %s", a.Name, defaultNote(a), a.Doc)
		}
	}
	for _, sec := range []struct{ name, text string }{{"Returns", s.Returns}, {"Errors", s.Errors}} {
		if sec.text != "" {
			p.line("")
			p.line("%s: %s", sec.name, sec.text)
		}
	}
	if s.Example != "" {
		p.line("")
		p.line("```python")
		p.line("%s", s.Example)
		p.line("```")
	}
}

func defaultNote(a interp.Param) string {
	if a.Required || a.Default == "" || a.Default == "None" || a.Default == "..." {
		return ""
	}
	return " (default `" + a.Default + "`)"
}
