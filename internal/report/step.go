package report

import (
	"fmt"
	"strings"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// title is what a step is called: its label, else its builtin and what it is about.
func title(b journal.Begin) string {
	switch {
	case b.Label != "":
		return b.Label
	case b.Resource == "":
		return b.Builtin
	}
	_, name := splitObject(b.Resource)
	return b.Builtin + " " + name
}

// splitObject takes "file:/etc/motd" apart. The table goes without saying behind file.put.
func splitObject(s string) (table, name string) {
	table, name, ok := strings.Cut(s, ":")
	if !ok || table == "" || name == "" || strings.Trim(table, "abcdefghijklmnopqrstuvwxyz-_") != "" {
		return "", s
	}
	return table, name
}

// words are how a status is called and coloured.
func words(s journal.Status, mode journal.Mode) (string, style) {
	switch s {
	case journal.Changed:
		if mode == journal.Planning {
			return "would change", yellow
		}
		return "changed", yellow
	case journal.Failed:
		return "failed", alarm
	case journal.Unknown:
		return "unknown", magenta
	case journal.Skipped:
		return "skipped", dim
	}
	return Escape(string(s)), green
}

// wanted reports whether a step is printed.
func (t *Terminal) wanted(e journal.End) bool {
	switch {
	case e.Status == journal.Failed, t.opts.Verbosity > 0:
		return true
	case t.opts.Verbosity < 0:
		return false
	}
	return e.Changed || e.Status == journal.Changed || e.Status == journal.Unknown
}

func (t *Terminal) step(b *block, v *view, e journal.End) {
	switch {
	case e.Error != nil:
		v.said, v.hinted = e.Error.Message, e.Error.Hint != ""
	case e.Status == journal.Unknown:
		v.said, v.hinted = e.Because, false
	}
	if !t.wanted(e) {
		return
	}
	word, s := words(e.Status, v.mode)
	tail := ""
	if e.Millis >= 1000 {
		tail += " " + b.in(dim, "("+duration(e.Millis)+")")
	}
	because := Escape(e.Because)
	if because != "" && (e.Status == journal.Skipped || e.Carried != "") {
		tail += " " + b.in(dim, "("+because+")")
	}
	if t.opts.Verbosity > 0 && e.Pos != "" {
		tail += " " + b.in(dim, Escape(e.Pos))
	}
	name := t.fit(b, title(e.Begin))
	if e.Status == journal.OK || e.Status == journal.Skipped {
		name = b.in(dim, name)
	}
	b.line(s, word, name+tail)
	if because != "" && e.Status != journal.Skipped && e.Carried == "" {
		if strings.HasPrefix(because, "step ") {
			because = "because of " + because
		}
		b.detail(b.in(magenta, because))
	}
	t.deltas(b, e, e.Status == journal.Changed && v.mode == journal.Running)
	if e.Error != nil {
		b.failure(lines(e.Error.Message), e.Error)
		if len(e.Error.Frames) == 0 {
			v.at = e.Pos
		}
	}
}

// fit cuts a title to the width of the terminal, but for those who want to see all.
func (t *Terminal) fit(b *block, name string) string {
	name = Escape(name)
	w := t.width()
	if w == 0 || t.opts.Verbosity > 0 {
		return name
	}
	taken := b.word + 2
	if t.pad > 0 {
		taken += t.pad + 1
	}
	return cut(name, max(w-taken-len(" (59m59s)"), 20))
}

func (t *Terminal) startLine(b *block, s journal.Start) {
	if t.opts.Verbosity <= 0 {
		return
	}
	at := Escape(s.Address)
	if s.User != "" {
		at = Escape(s.User) + "@" + at
	}
	what := Escape(s.Bundle)
	for _, task := range s.Tasks {
		what += " " + Escape(strings.Join(append([]string{task.Name}, task.Args...), " "))
	}
	b.line(dim, Escape(string(s.Mode)), fmt.Sprintf("%s on %s", what, at)+b.in(dim, fmt.Sprintf(" (run %s, fabgo %s)", Escape(s.Run), Escape(s.Fabgo))))
}

func (t *Terminal) note(b *block, n journal.Note) {
	if t.opts.Verbosity < 0 {
		return
	}
	for i, l := range lines(n.Text) {
		if i == 0 && t.opts.Verbosity > 0 && n.Pos != "" {
			l += " " + b.in(dim, Escape(n.Pos))
		}
		b.line(cyan, "note", l)
	}
}

// opLine tells of an op, for those who look into fabgo itself.
func (t *Terminal) opLine(b *block, o journal.Outcome) {
	if t.opts.Verbosity < 2 {
		return
	}
	text := "op " + opText(o)
	if o.Error != nil {
		text += ": " + Escape(o.Error.Message)
	}
	b.detail(b.in(dim, fmt.Sprintf("%s %dms", text, o.Millis)))
}

func opText(o journal.Outcome) string {
	op, err := transport.DecodeOp(o.Op)
	if err != nil {
		return Escape(string(o.Op))
	}
	about := ""
	switch op := op.(type) {
	case transport.Exec:
		argv := make([]string, len(op.Argv))
		for i, a := range op.Argv {
			argv[i] = string(a)
		}
		about = commandLine(argv)
	case transport.Lookup:
		keys := make([]string, len(op.Keys))
		for i, k := range op.Keys {
			keys[i] = string(k)
		}
		about = string(op.Table) + " " + strings.Join(keys, " ")
	case transport.Ask:
		about = string(op.What) + " " + string(op.Name)
	case transport.Stat:
		about = string(op.Path)
	case transport.List:
		about = string(op.Path)
	case transport.Read:
		about = string(op.Path)
	case transport.Write:
		about = string(op.Path)
	case transport.Unpack:
		about = string(op.Path)
	case transport.Mkdir:
		about = string(op.Path)
	case transport.Link:
		about = string(op.Path) + " -> " + string(op.Target)
	case transport.Remove:
		about = string(op.Path)
	case transport.SetAttr:
		about = string(op.Path)
	}
	return op.Kind() + " " + Escape(about)
}

// duration is for people: 0.4s, 8.1s, 1m05s, 2h03m.
func duration(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		s := int(d.Seconds() + 0.5)
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	m := int(d.Minutes() + 0.5)
	return fmt.Sprintf("%dh%02dm", m/60, m%60)
}
