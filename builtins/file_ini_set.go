package builtins

import (
	"slices"
	"strings"
)

// set makes the section hold the key. Lines that are right stay; wrong ones get the values that are missing, the rest of them go.
func (e *iniEdit) set(l *lines) error {
	found := e.found(l)
	wanted := e.values
	if e.bare {
		wanted = []string{""}
	}
	right := func(x iniLine, v string) bool { return x.bare == e.bare && x.value == v }
	if e.exclusive && len(found) == len(wanted) {
		same := true
		for i, x := range found {
			same = same && right(x, wanted[i])
		}
		if same {
			return nil
		}
	}
	var missing []string
	for _, v := range wanted {
		if e.exclusive || !slices.ContainsFunc(found, func(x iniLine) bool { return right(x, v) }) {
			missing = append(missing, v)
		}
	}
	reuse := 0 // how many lines are written again, in their order
	if e.exclusive {
		reuse = min(len(found), len(missing))
	}
	at := -1 // where further lines go
	if len(found) > 0 {
		at = found[len(found)-1].to
	}
	if e.exclusive {
		for i, x := range slices.Backward(found) {
			if i < reuse && right(x, missing[i]) {
				continue
			}
			if err := e.touch(l, x); err != nil {
				return err
			}
			if i >= reuse {
				l.remove(x.from, x.to)
				continue
			}
			at += e.rewrite(l, x, missing[i])
		}
	}
	if missing = missing[reuse:]; len(missing) == 0 {
		return nil
	}
	if at < 0 {
		var taken bool
		if at, taken = e.commented(l, missing[0]); taken {
			missing = missing[1:]
		}
	}
	if at < 0 {
		at = e.end(l)
	}
	for _, v := range missing {
		text := e.write(e.margin(l, at)+e.key+e.separator, v)
		l.insert(at, text...)
		at += len(text)
	}
	return nil
}

// write is the text of a key with a value, in lines.
func (e *iniEdit) write(before, value string) []string {
	if e.bare {
		return []string{strings.TrimRight(strings.TrimSuffix(before, e.separator), " \t")}
	}
	parts := strings.Split(value, "\n")
	deeper := before[:indent(before)] + "    "
	for i := range parts {
		if i > 0 {
			parts[i] = deeper + parts[i]
		}
	}
	if parts[0] = before + parts[0]; value == "" || strings.HasPrefix(value, "\n") {
		parts[0] = strings.TrimRight(parts[0], " \t")
	}
	return parts
}

// rewrite puts a value where another one stands and keeps the spacing; it tells how many lines came to those above.
func (e *iniEdit) rewrite(l *lines, x iniLine, value string) int {
	before := x.before
	switch {
	case x.bare && !e.bare:
		before += e.separator
	case !x.bare && e.bare:
		before = before[:indent(before)] + e.key + e.separator
	case x.value == "" && strings.TrimRight(before, " \t") == before: // "key =" has no blank of its own before the value
		kind := before[len(before)-1:]
		if _, blank, _ := strings.Cut(e.separator, kind); blank != "" && strings.HasSuffix(before, " "+kind) {
			before += blank
		}
	}
	text := e.write(before, value)
	last := l.ends[x.to-1]
	if len(text) == 1 && x.to == x.from+1 {
		l.set(x.from, text[0]+x.after)
		return 0
	}
	end := l.end()
	l.remove(x.from, x.to)
	l.insertWith(end, x.from, text)
	l.ends[x.from+len(text)-1] = last
	return len(text) - (x.to - x.from)
}

// commented puts the value where the key stands commented out, when that is wanted and so.
func (e *iniEdit) commented(l *lines, value string) (next int, taken bool) {
	if !e.uncomment {
		return -1, false
	}
	for _, s := range slices.Backward(e.sections(l)) {
		for i := s.to - 1; i >= s.from; i-- {
			t := l.text[i]
			if !isINIComment(t) {
				continue
			}
			margin := t[:indent(t)]
			x, ok := e.read(strings.TrimLeft(t[len(margin):], "#; \t"))
			if !ok || x.bare != e.bare {
				continue
			}
			last, end := l.ends[i], l.end()
			text := e.write(margin+x.before, value)
			l.remove(i, i+1)
			l.insertWith(end, i, text)
			l.ends[i+len(text)-1] = last
			return i + len(text), true
		}
	}
	return -1, false
}

// end is where the section ends: behind its last line that is neither blank nor a comment, since comments below it may be about the next
// section. A section that is missing is made.
func (e *iniEdit) end(l *lines) int {
	all := e.sections(l)
	if len(all) == 0 {
		e.addSection(l)
		return len(l.text)
	}
	s := all[len(all)-1]
	if !e.named && s.to == len(l.text) {
		return s.to
	}
	for i := s.to - 1; i >= s.from; i-- {
		if strings.TrimSpace(l.text[i]) != "" && !isINIComment(l.text[i]) {
			return i + 1
		}
	}
	at := s.to // above the comments and blank lines that lead to the first section
	for at > s.from && isINIComment(l.text[at-1]) {
		at--
	}
	for at > s.from && strings.TrimSpace(l.text[at-1]) == "" {
		at--
	}
	return at
}

// margin is the indentation that a new line at gets: that of a key above it in the same section.
func (e *iniEdit) margin(l *lines, at int) string {
	for _, s := range e.sections(l) {
		if s.from >= at || at > s.to {
			continue
		}
		first := s.from
		if e.named {
			first++
		}
		for i := first; i < at; i++ {
			if t := l.text[i]; strings.TrimSpace(t) != "" && !isINIComment(t) {
				return t[:indent(t)]
			}
		}
	}
	return ""
}
