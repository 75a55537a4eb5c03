package interp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// unit is one file of a closure: its text, its tree, and what it loads.
type unit struct {
	name    string // canonical: "//lib/x.star", "@fab//x.star"
	display string // as people see it
	src     string
	ast     *syntax.File // nil when it does not parse
	prog    *starlark.Program
	loads   map[string]string // as written -> canonical name
	from    *unit             // the file that first loaded it, and where; nil for the bundle
	fromPos Position
}

// chain is the load statements that led to the file, outermost first.
func (u *unit) chain() []Frame {
	var chain []Frame
	for c := u; c.from != nil; c = c.from {
		chain = append(chain, Frame{Position: c.fromPos, Source: lineOf(c.from.src, c.fromPos.Line)})
	}
	slices.Reverse(chain)
	return chain
}

// parseFile parses a text after checking that it is one that can be worked on. The error is a *Problem.
func parseFile(opts *syntax.FileOptions, display, src string) (*syntax.File, error) {
	if len(src) > maxFileBytes {
		return nil, &Problem{Pos: Position{File: display},
			Msg: fmt.Sprintf("the file has %s bytes; at most %s are read", grouped(uint64(len(src))), grouped(maxFileBytes))}
	}
	if strings.HasPrefix(src, "\ufeff") {
		return nil, &Problem{Pos: Position{display, 1, 1}, Msg: "the file starts with a byte order mark", Hint: "save it as UTF-8 without one"}
	}
	if !utf8.ValidString(src) || strings.ContainsRune(src, 0) {
		return nil, &Problem{Pos: notText(display, src), Msg: "the file is not UTF-8 text"}
	}
	f, err := opts.Parse(display, src, 0)
	if err != nil {
		var se syntax.Error
		if !errors.As(err, &se) {
			return nil, &Problem{Pos: Position{File: display}, Msg: "parse: " + err.Error(), Err: err}
		}
		pos := position(se.Pos)
		line := lineOf(src, pos.Line)
		return nil, &Problem{Pos: pos, Msg: se.Msg, Hint: syntaxHint(se.Msg, line), Source: line, Err: err}
	}
	if pos, ok := checkNesting(f); !ok {
		return nil, &Problem{Pos: position(pos), Source: lineOf(src, int(pos.Line)),
			Msg: fmt.Sprintf("the code is nested more than %d deep here", maxNesting), Hint: "a long chain of operators or elif counts too"}
	}
	return f, nil
}

func notText(display, src string) Position {
	for i, r := range src {
		if r == 0 || r == utf8.RuneError && !strings.HasPrefix(src[i:], "\uFFFD") {
			line := 1 + strings.Count(src[:i], "\n")
			col := 1 + utf8.RuneCountInString(src[strings.LastIndexByte(src[:i], '\n')+1:i])
			return Position{display, line, col}
		}
	}
	return Position{File: display}
}

// pythonisms are the words of Python that Starlark reserves, with what to write here.
var pythonisms = map[string]string{
	"import": `libraries come with load("//lib/x.star", "name")`, "from": `libraries come with load("//lib/x.star", "name")`,
	"try": "there are no exceptions: attempt(fn) returns an outcome", "except": "there are no exceptions: attempt(fn) returns an outcome",
	"finally": "there are no exceptions: attempt(fn) returns an outcome", "raise": `fail("why") ends the run`,
	"class": "there are no classes: struct(a = 1) makes a value with fields", "with": "there is no with statement",
	"is": "compare with ==", "global": "a function cannot assign a global; return the value", "nonlocal": "a function cannot assign an outer variable; return the value",
	"del": "use list.pop or dict.pop", "yield": "return a list", "async": "there is no async", "await": "there is no await",
}

// syntaxHint guesses what a person who knows Python meant.
func syntaxHint(msg, line string) string {
	for word, hint := range pythonisms {
		if strings.Contains(msg, "got '"+word+"'") || strings.Contains(msg, "got "+word+",") {
			return hint
		}
	}
	if words := strings.Fields(line); len(words) > 0 {
		if hint := pythonisms[strings.TrimSuffix(words[0], ":")]; hint != "" {
			return hint
		}
	}
	if strings.Contains(msg, "got string literal") && regexp.MustCompile(`(^|[^\w"'])[fF]["']`).MatchString(line) {
		return `there are no f-strings: write "%s" % x or "{}".format(x)`
	}
	if strings.HasPrefix(msg, "obsolete form of octal literal") {
		return `the mode of a file is a string: mode = "0644"`
	}
	if strings.Contains(msg, "got string literal") {
		return "strings side by side do not join: put + between them"
	}
	return ""
}

// compile resolves the names of the unit and compiles it. It tells all that is wrong, not only the first. has is
// scope.has, but for the prelude.
func (u *unit) compile(s scope, has func(string) bool) (problems Problems) {
	defer func() {
		// The compiler reports its own defects by panicking; a file must not end the process.
		if r := recover(); r != nil {
			problems = append(problems, u.problem(Position{File: u.display}, fmt.Sprintf("compile: internal error: %v", r), ""))
		}
	}()
	prog, err := starlark.FileProgram(u.ast, has)
	u.prog = prog
	if err == nil {
		return nil
	}
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		p := u.problem(Position{File: u.display}, "compile: "+err.Error(), "")
		p.Err = err
		return Problems{p}
	}
	for i, e := range list {
		if i == maxProblems {
			problems = append(problems, u.problem(position(e.Pos), fmt.Sprintf("and %d more like this", len(list)-i), ""))
			break
		}
		msg, hint := u.explainResolve(e, s)
		p := u.problem(position(e.Pos), msg, hint)
		p.Err = e
		problems = append(problems, p)
	}
	return problems
}

// explainResolve betters the resolver's messages: its "did you mean" does not know what is predeclared.
func (u *unit) explainResolve(e resolve.Error, s scope) (msg, hint string) {
	switch {
	case strings.Contains(e.Msg, "support while loops"):
		return "there is no while loop", "every bundle ends: use for i in range(n), or retry(fn, times, delay) to wait for something"
	case !strings.HasPrefix(e.Msg, "undefined: "):
		return e.Msg, ""
	}
	name, guess, _ := strings.Cut(strings.TrimPrefix(e.Msg, "undefined: "), " (did you mean ")
	if why := s.reasons[name]; why != "" {
		return fmt.Sprintf("%s is not available in a library", name), why
	}
	candidates := append(s.names(), strings.TrimSuffix(guess, "?)"))
	candidates = append(candidates, u.globals()...)
	msg = "undefined: " + name
	if n := Nearest(name, candidates); n != "" {
		hint = fmt.Sprintf("did you mean %s?", n)
	}
	return msg, hint
}

func (u *unit) problem(pos Position, msg, hint string) *Problem {
	return &Problem{Pos: pos, Msg: msg, Hint: hint, Source: lineOf(u.src, pos.Line), Chain: u.chain()}
}

// globals is the names that the file defines at its top level, resolved or not.
func (u *unit) globals() []string {
	m, ok := u.ast.Module.(*resolve.Module)
	if !ok {
		return nil
	}
	names := make([]string, 0, len(m.Globals))
	for _, b := range m.Globals {
		names = append(names, b.First.Name)
	}
	return names
}

// loadStmts is the load statements of the top level, where alone they are allowed.
func (u *unit) loadStmts() []*syntax.LoadStmt {
	var stmts []*syntax.LoadStmt
	for _, s := range u.ast.Stmts {
		if l, ok := s.(*syntax.LoadStmt); ok {
			stmts = append(stmts, l)
		}
	}
	return stmts
}
