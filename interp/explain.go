package interp

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// Failure is an error as a person wants to read it: what went wrong, and where in the files they wrote.
type Failure struct {
	Msg    string
	Hint   string
	Pos    Position // the innermost place in the user's files; may be unknown
	Source string   // the text of that line
	Frames []Frame  // the calls and loads that led there, outermost first; the last one is Pos
	Also   []*Failure
	Err    error // what was explained
}

// Explain finds out where in the user's files an error belongs. Frames of the prelude and of Go are left out. It takes
// any error: Problems become one Failure with the others in Also; of nil it makes nil.
func Explain(err error) *Failure {
	if err == nil {
		return nil
	}
	var run *runError
	if errors.As(err, &run) {
		return run.bundle.Explain(err)
	}
	return explain(err)
}

// Explain is like the function, for an error that a native got from a call on a thread of the bundle.
func (b *Bundle) Explain(err error) *Failure {
	f := explain(err)
	if f == nil {
		return nil
	}
	for i := range f.Frames {
		fr := &f.Frames[i]
		if u := b.byFile[fr.File]; u != nil && fr.Source == "" {
			fr.Source = lineOf(u.src, fr.Line)
		}
	}
	if n := len(f.Frames); n > 0 {
		f.Source = f.Frames[n-1].Source
	}
	if f.Hint == "" {
		f.Hint = b.hiddenFamily(f)
	}
	return f
}

// hiddenFamily recognises user.present(...) in a file that has made user a string.
func (b *Bundle) hiddenFamily(f *Failure) string {
	m := regexp.MustCompile(`^\S+ has no \.(\w+) field or method`).FindStringSubmatch(f.Msg)
	if m == nil {
		return ""
	}
	for name, v := range b.in.prelude.families {
		if v.(*Family).functions[m[1]] != nil && regexp.MustCompile(`\b`+name+`\.`+m[1]+`\b`).MatchString(f.Source) {
			return fmt.Sprintf("%s is a name of this file here and hides the builtins %s.*: call it something else", name, name)
		}
	}
	return ""
}

func explain(err error) *Failure {
	if err == nil {
		return nil
	}
	var many Problems
	var one *Problem
	var hinted interface{ Hint() string }
	var panicked *PanicError
	f := &Failure{Err: err, Msg: err.Error()}
	switch {
	case errors.As(err, &many) && len(many) > 0:
		f = many[0].failure()
		f.Err = err
		for _, p := range many[1:] {
			f.Also = append(f.Also, p.failure())
		}
		return f
	case errors.As(err, &one):
		f = one.failure()
		f.Err = err
		return f
	case errors.As(err, &panicked):
		f.Frames = panicked.Frames
		f.Hint = "this is a defect of fabgo: please report it"
	default:
		f.trace(err)
	}
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hint()
	}
	if f.Hint == "" && strings.HasSuffix(f.Msg, "called recursively") {
		f.Hint = "there is no recursion: use a loop"
	}
	if n := len(f.Frames); n > 0 {
		f.Pos, f.Source = f.Frames[n-1].Position, f.Frames[n-1].Source
	}
	return f
}

func (p *Problem) failure() *Failure {
	f := &Failure{Msg: p.Msg, Hint: p.Hint, Pos: p.Pos, Source: p.Source, Err: p}
	f.Frames = append(f.Frames, p.Chain...)
	if p.Pos.IsValid() {
		f.Frames = append(f.Frames, Frame{Position: p.Pos, Source: p.Source})
	}
	return f
}

// trace joins the stacks of nested evaluation errors. An error that a callback raised holds a longer stack of the same
// thread: it replaces. An error of a loaded file holds the stack of the thread that loaded it: it follows, and its
// message is the one that says what happened.
func (f *Failure) trace(err error) {
	var stacks []starlark.CallStack
	var ee *starlark.EvalError
	for e := err; errors.As(e, &ee); e = ee.Unwrap() {
		last := len(stacks) - 1
		switch {
		case last < 0:
			stacks = append(stacks, ee.CallStack)
		case extends(ee.CallStack, stacks[last]):
			stacks[last] = ee.CallStack
		case ee.CallStack != nil && ee.CallStack[0].Name == toplevelName:
			stacks = append(stacks, ee.CallStack)
			f.Msg = ee.Msg
		}
	}
	var stop *stopError
	if errors.As(err, &stop) {
		f.Msg = stop.Error()
	}
	for _, s := range stacks {
		f.Frames = append(f.Frames, userFrames(s)...)
	}
}

// extends reports whether long goes on where short ends.
func extends(long, short starlark.CallStack) bool {
	if len(long) < len(short) {
		return false
	}
	for i := range short {
		if long[i] != short[i] {
			return false
		}
	}
	return true
}

// Write prints the failure for a terminal without colours: position and message, the line with a caret, the hint, and
// how the evaluation came there, innermost first.
func (f *Failure) Write(w io.Writer) error {
	var b strings.Builder
	f.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Failure) String() string {
	var b strings.Builder
	f.write(&b)
	return b.String()
}

func (f *Failure) write(b *strings.Builder) {
	if f.Pos.IsValid() {
		b.WriteString(printable(f.Pos.String()) + ": ")
	}
	b.WriteString(strings.ReplaceAll(printable(f.Msg), "\n", "\n    ") + "\n")
	if strings.TrimSpace(f.Source) != "" {
		writeLine(b, f.Pos, f.Source)
	}
	if f.Hint != "" {
		b.WriteString("    hint: " + printable(f.Hint) + "\n")
	}
	for i := len(f.Frames) - 1; i > 0; i-- {
		in := f.Frames[i].Func
		if in == "" {
			in = f.Frames[i].File
		}
		caller := f.Frames[i-1]
		fmt.Fprintf(b, "  %s, from %s", printable(in), printable(caller.Position.String()))
		if s := strings.TrimSpace(caller.Source); s != "" {
			b.WriteString(": " + printable(s))
		}
		b.WriteByte('\n')
	}
	for _, other := range f.Also {
		b.WriteByte('\n')
		other.write(b)
	}
}

// writeLine shows a line of source with a caret under its column.
func writeLine(b *strings.Builder, pos Position, source string) {
	col := 0
	for i, r := range []rune(source) {
		if i+1 >= pos.Col {
			break
		}
		col += len([]rune(printable(string(r))))
	}
	margin := fmt.Sprintf("%5d | ", pos.Line)
	b.WriteString(margin + printable(source) + "\n")
	if pos.Col > 0 && pos.Col <= len([]rune(source))+1 {
		b.WriteString(strings.Repeat(" ", len(margin)-2) + "| " + strings.Repeat(" ", col) + "^\n")
	}
}

// printable escapes what could command a terminal: control characters, and those that turn the direction of text.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i]) // not UTF-8
		case r == '\n':
			b.WriteByte('\n')
		case r == '\t':
			b.WriteString("    ")
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
