package report

import (
	"fmt"
	"strings"

	"fabgo/internal/journal"
)

// objectLimit is how many objects of a step are listed unless more is asked for.
const objectLimit = 20

// deltas prints what differs: a line for each object, and below it the diff of its content where diffs are wanted. done: it happened.
func (t *Terminal) deltas(b *block, e journal.End, done bool) {
	table, _ := splitObject(e.Resource)
	objects := 0
	for rest := e.Diff; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Object == rest[0].Object {
			n++
		}
		ds := rest[:n]
		rest = rest[n:]
		if objects++; objects > objectLimit && t.opts.Verbosity < 1 && !t.opts.Diff {
			b.detail(b.in(dim, fmt.Sprintf("and %s more (-v lists them all)", plural(1+countObjects(rest), "object"))))
			return
		}
		parts := make([]string, len(ds))
		created := false
		for i, d := range ds {
			created = created || d.Attr == "" && (d.From == "absent" || d.From == "unknown")
			parts[i] = deltaText(d, done, created)
		}
		text := strings.Join(parts, ", ")
		if ds[0].Object != e.Resource {
			name := ds[0].Object
			if tab, short := splitObject(name); tab == table {
				name = short
			}
			text = Escape(name) + ": " + text
		}
		b.detail(text)
		for _, d := range ds {
			if t.opts.Diff && d.Text != "" {
				b.diff(d.Text)
			}
		}
	}
}

func countObjects(ds []journal.Delta) int {
	n := 0
	for i, d := range ds {
		if i == 0 || ds[i-1].Object != d.Object {
			n++
		}
	}
	return n
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// deltaText words a difference. Of an object that is being made only the new values are told.
func deltaText(d journal.Delta, done, created bool) string {
	verb := func(past, future string) string {
		if done {
			return past
		}
		return future
	}
	switch {
	case d.Attr == "" && d.To == "absent":
		what := ""
		if d.From == "dir" || d.From == "link" {
			what = " " + d.From
		}
		return verb("removed", "remove") + what
	case d.Attr == "" && d.From == "absent":
		switch d.To {
		case "file", "present", "":
			return verb("created", "create")
		case "dir", "link":
			return verb("created ", "create ") + d.To
		}
	case d.Attr == "content":
		return contentText(d)
	}
	text := ""
	if d.Attr != "" {
		text = Escape(d.Attr) + " "
	}
	if !created || d.From != "" {
		text += value(d.From) + " -> "
	}
	return text + value(d.To)
}

func contentText(d journal.Delta) string {
	if d.Text != "" {
		plus, minus := 0, 0
		for _, l := range diffLines(d.Text) {
			switch l.kind {
			case '+':
				plus++
			case '-':
				minus++
			}
		}
		switch {
		case minus == 0:
			return fmt.Sprintf("content +%d", plus)
		case plus == 0:
			return fmt.Sprintf("content -%d", minus)
		}
		return fmt.Sprintf("content +%d -%d", plus, minus)
	}
	switch {
	case d.From == "":
		return "content " + Escape(d.To)
	case d.From == d.To:
		return "content differs, " + Escape(d.To)
	}
	return fmt.Sprintf("content %s -> %s", Escape(d.From), Escape(d.To))
}

// value shows an attribute's value; one that would be hard to see, or to tell from the words around it, is quoted.
func value(s string) string {
	if s == "" {
		return "(unset)"
	}
	if strings.ContainsAny(s, " ,\"") {
		return `"` + Escape(s) + `"`
	}
	return Escape(s)
}

type diffLine struct {
	kind byte // '+', '-', ' ' in a hunk; '@' opens one; 'h' is of the head
	text string
}

// diffLines takes a unified diff apart. A line is what its place makes it: a removed line "-- x" is no head, though it reads "--- x".
func diffLines(text string) []diffLine {
	var out []diffLine
	hunk := false
	for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		d := diffLine{'h', l}
		switch {
		case strings.HasPrefix(l, "@@"):
			d.kind, hunk = '@', true
		case hunk && l != "" && strings.IndexByte("+- ", l[0]) >= 0:
			d.kind = l[0]
		case hunk:
			d.kind = ' '
		}
		out = append(out, d)
	}
	return out
}

func (b *block) diff(text string) {
	for _, l := range diffLines(text) {
		s := map[byte]style{'+': green, '-': red, '@': cyan, 'h': bold}[l.kind]
		line := escapeKeepTabs(l.text)
		if s != "" {
			line = b.in(s, line)
		}
		b.detail(line)
	}
}
