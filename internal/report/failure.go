package report

import (
	"fmt"
	"io"
	"strings"

	"fabgo/internal/journal"
)

// failure prints why something went wrong, below its headline.
func (b *block) failure(message []string, f *journal.Failure) {
	for _, l := range message {
		b.detail(b.in(red, l))
	}
	if command := commandLine(f.Command); command != "" && !strings.Contains(f.Message, fmt.Sprintf("%s: exit code %d", command, f.Code)) {
		b.detail("command: " + Escape(command))
		b.detail(fmt.Sprintf("exit code: %d", f.Code))
	}
	if ls := lines(f.Stderr); len(ls) > 0 {
		b.detail("it said:")
		for _, l := range ls {
			b.detail("  " + l)
		}
	}
	b.frames(f.Frames, f.Source)
	b.hint(f.Hint)
}

func (b *block) hint(text string) {
	for i, l := range lines(text) {
		if i == 0 {
			l = "hint: " + l
		}
		b.detail(b.in(cyan, l))
	}
}

// frames prints positions, innermost first, and the text of the innermost line.
func (b *block) frames(frames []string, source string) {
	for i, f := range frames {
		word := "at "
		if i > 0 {
			word = "called from "
		}
		b.detail(word + Escape(f))
		if source := strings.TrimSpace(source); i == 0 && source != "" {
			b.detail("    " + b.in(dim, escapeKeepTabs(source)))
		}
	}
}

// explains reports whether a session ended because of the step that went wrong last, and tells the calls that led there.
func (v *view) explains(f journal.Finish) bool { return v.ended(f) && len(f.Error.Frames) > 0 }

func (v *view) ended(f journal.Finish) bool {
	return f.Error != nil && v.said != "" && (strings.Contains(f.Error.Message, v.said) || strings.Contains(v.said, f.Error.Message))
}

// finish says how a session ended, or what its last step could not say.
func (t *Terminal) finish(b *block, v *view, f journal.Finish) {
	switch {
	case f.Error == nil, f.Status == journal.Partial && t.opts.Verbosity < 0:
		return
	case v.ended(f):
		b.frames(f.Error.Frames, f.Error.Source)
		if !v.hinted {
			b.hint(f.Error.Hint)
		}
		return
	}
	word, s := verdictWord(f.Status)
	ls := lines(f.Error.Message)
	if len(ls) == 0 {
		ls = []string{""}
	}
	b.line(s, word, ls[0])
	b.failure(ls[1:], f.Error)
}

func verdictWord(v journal.Verdict) (string, style) {
	switch v {
	case journal.Finished:
		return "ok", green
	case journal.Broken:
		return "failed", alarm
	case journal.Invalid:
		return "error", alarm
	case journal.Unreachable:
		return "unreachable", alarm
	case journal.Partial:
		return "stopped", magenta
	case journal.Interrupted:
		return "interrupted", alarm
	case journal.Locked:
		return "locked", alarm
	}
	return Escape(string(v)), alarm
}

// Problem is an error that comes before any session: something is wrong with a bundle, its variables or the command line.
type Problem struct {
	Pos     string   // "web1.star:4:9"; "" where there is none
	Column  int      // in Source, counted in characters from 1; 0 draws no caret
	Source  string   // the text of the line
	Message string   // may have several lines
	Hint    string   //
	Chain   []string // how the file came to be read, "web1.star:2:1", outermost first
}

// Problems prints errors as compilers do: position and message, the line with a caret, a hint.
func Problems(w io.Writer, color bool, ps ...Problem) error {
	p := paint(color)
	var b strings.Builder
	for _, pr := range ps {
		ls := lines(pr.Message)
		if len(ls) == 0 {
			ls = []string{"unknown error"}
		}
		if pr.Pos != "" {
			b.WriteString(p.in(bold, Escape(pr.Pos)+":") + " ")
		}
		b.WriteString(p.in(alarm, "error:") + " " + ls[0] + "\n")
		for _, l := range ls[1:] {
			b.WriteString("    " + l + "\n")
		}
		b.WriteString(p.excerpt(pr.Source, pr.Column))
		for _, c := range pr.Chain {
			b.WriteString("    loaded from " + Escape(c) + "\n")
		}
		for i, l := range lines(pr.Hint) {
			if i == 0 {
				l = "hint: " + l
			}
			b.WriteString("    " + p.in(cyan, l) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return writeError(err)
}

// excerpt is a source line with a caret below a column.
func (p paint) excerpt(source string, column int) string {
	source = strings.TrimRight(source, " \t\r\n")
	if source == "" {
		return ""
	}
	text := "    " + p.in(dim, escapeKeepTabs(source)) + "\n"
	rs := []rune(source)
	if column < 1 || column > len(rs)+1 {
		return text
	}
	var gap strings.Builder
	for _, r := range escapeKeepTabs(string(rs[:column-1])) {
		if r == '\t' {
			gap.WriteRune(r)
		} else {
			gap.WriteString(strings.Repeat(" ", columns(string(r))))
		}
	}
	return text + "    " + gap.String() + p.in(alarm, "^") + "\n"
}

// commandLine shows an argument vector, quoted where a shell would need it.
func commandLine(argv []string) string {
	parts := make([]string, len(argv))
	for i, a := range argv {
		parts[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			parts[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(parts, " ")
}
