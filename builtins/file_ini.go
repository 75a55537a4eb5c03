package builtins

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

func fileINI(c *call, a struct {
	writing
	Section   *string        `arg:"section"`
	Key       *string        `arg:"key"`
	Value     starlark.Value `arg:"value"`
	Exclusive bool           `arg:"exclusive"`
	NoValue   bool           `arg:"no_value"`
	Absent    bool           `arg:"absent"`
	Separator string         `arg:"separator"`
	Uncomment bool           `arg:"uncomment"`
	Multiline *bool          `arg:"multiline"`
	Create    bool           `arg:"create"`
}) (starlark.Value, error) {
	e := iniEdit{exclusive: a.Exclusive, bare: a.NoValue, absent: a.Absent, separator: a.Separator, uncomment: a.Uncomment, multiline: a.Multiline}
	if a.Section != nil {
		e.section, e.named = *a.Section, true
	}
	if a.Key != nil {
		e.key, e.keyed = *a.Key, true
	}
	var err error
	if a.Value != nil {
		e.values, err = iniValues(a.Value)
	}
	if err == nil {
		err = e.check(a.Value != nil)
	}
	if err != nil {
		return nil, fmt.Errorf("file.ini: %w", err)
	}
	return c.edited(a.writing, a.Create, a.Absent, e.apply)
}

// iniEdit is what an INI file is to hold, or not to hold.
type iniEdit struct {
	section   string
	named     bool // a section was given; otherwise the lines above the first one are meant
	key       string
	keyed     bool
	values    []string
	exclusive bool // the key has these values only
	bare      bool // the key stands alone, without separator and value
	absent    bool
	separator string
	uncomment bool
	multiline *bool
}

// iniValues reads one value, or a list for a key that stands there several times. A truth has no spelling that all programs share.
func iniValues(v starlark.Value) ([]string, error) {
	switch v := v.(type) {
	case starlark.String:
		return []string{string(v)}, nil
	case starlark.Int, starlark.Float:
		return []string{v.String()}, nil
	case *starlark.List, starlark.Tuple:
		out := []string{}
		for x := range starlark.Elements(v.(starlark.Iterable)) {
			if _, nested := x.(starlark.Iterable); nested {
				return nil, fmt.Errorf("value: %w", mismatch(x, "a string or a number in the list"))
			}
			one, err := iniValues(x)
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("value: the list is empty: absent = True removes a key")
		}
		return out, nil
	case starlark.Bool:
		return nil, fmt.Errorf("value: got bool %s: write it as the program reads it, such as \"yes\", \"true\", \"on\" or \"1\"", v)
	}
	return nil, fmt.Errorf("value: %w", mismatch(v, "a string, a number or a list of such"))
}

var (
	iniHeader    = regexp.MustCompile(`^\s*\[(.*?)\]\s*(?:[#;].*)?$`)
	iniSeparator = regexp.MustCompile(`^[ \t]*[=:][ \t]*$`)
)

// check refuses what would not be read again as it was written.
func (e *iniEdit) check(given bool) error {
	switch {
	case !e.named && !e.keyed:
		return fmt.Errorf("give section, key, or both")
	case e.named && (e.section == "" || strings.TrimSpace(e.section) != e.section || strings.ContainsAny(e.section, "\r\n]")):
		return fmt.Errorf("section: %q is no name of a section: it is empty, has space around it, or holds ] or a line break; leave it out for the lines above the first section", e.section)
	case e.keyed && (e.key == "" || strings.TrimSpace(e.key) != e.key || strings.ContainsAny(e.key, "\r\n=") || strings.ContainsAny(e.key[:1], "[#;")):
		return fmt.Errorf("key: %q is no name of a key: it is empty, has space around it, begins with [, # or ;, or holds = or a line break", e.key)
	case !iniSeparator.MatchString(e.separator):
		return fmt.Errorf("separator: %q is not = or :, with or without blanks around it", e.separator)
	case !e.keyed && (given || e.bare || e.uncomment):
		return fmt.Errorf("value, no_value and uncomment are about a key: give key")
	case given && e.bare:
		return fmt.Errorf("give value or no_value, not both")
	case e.absent && (e.bare || e.uncomment):
		return fmt.Errorf("no_value and uncomment are about a key that is to be there: leave them out with absent = True")
	case e.keyed && !given && !e.bare && !e.absent:
		return fmt.Errorf("give value: what %s is to be (\"\" leaves it empty, no_value = True writes the key alone, absent = True removes it)", e.key)
	}
	for i, v := range e.values {
		if err := e.checkValue(v); err != nil {
			return fmt.Errorf("value: %w", err)
		}
		if slices.Contains(e.values[:i], v) {
			return fmt.Errorf("value: %q stands in the list twice", v)
		}
	}
	return nil
}

func (e *iniEdit) checkValue(v string) error {
	if strings.ContainsAny(v, "\r\x00") {
		return fmt.Errorf("%q holds a carriage return or a NUL byte", v)
	}
	parts := strings.Split(v, "\n")
	if len(parts) > 1 && (e.multiline == nil || !*e.multiline) {
		return fmt.Errorf("%q is more than one line: multiline = True writes the further ones indented", v)
	}
	for i, p := range parts {
		if strings.TrimSpace(p) != p {
			return fmt.Errorf("%q has space around it, which is not read again: quote it, as the program that reads the file wants it", p)
		}
		if i > 0 && (p == "" || isINIComment(p)) {
			return fmt.Errorf("%q has an empty line or one that begins with # or ;, which would not be read as a part of the value", v)
		}
	}
	return nil
}

// apply edits the text.
func (e *iniEdit) apply(old []byte) ([]byte, error) {
	text, marked := bytes.CutPrefix(old, []byte("\ufeff"))
	l := linesOf(text)
	var err error
	switch {
	case !e.keyed && e.absent:
		for _, s := range slices.Backward(e.sections(l)) {
			l.remove(s.from, s.to)
		}
	case !e.keyed:
		if len(e.sections(l)) == 0 {
			e.addSection(l)
		}
	case e.absent:
		err = e.remove(l)
	default:
		err = e.set(l)
	}
	if err != nil {
		return nil, err
	}
	if marked {
		return append([]byte("\ufeff"), l.bytes()...), nil
	}
	return l.bytes(), nil
}

// iniSection is a stretch of lines: from its header, if it has one, to where the next one begins.
type iniSection struct{ from, to int }

// sections are those of the wanted name; a file may have it several times.
func (e *iniEdit) sections(l *lines) []iniSection {
	var out []iniSection
	in := !e.named
	if in {
		out = append(out, iniSection{0, len(l.text)})
	}
	for i, t := range l.text {
		m := iniHeader.FindStringSubmatch(t)
		if m == nil {
			continue
		}
		if in {
			out[len(out)-1].to = i
		}
		if in = e.named && strings.TrimSpace(m[1]) == e.section; in {
			out = append(out, iniSection{i, len(l.text)})
		}
	}
	return out
}

func (e *iniEdit) addSection(l *lines) {
	if n := len(l.text); n > 0 && strings.TrimSpace(l.text[n-1]) != "" {
		l.insert(n, "")
	}
	l.insert(len(l.text), "["+e.section+"]")
}

// iniLine is a line with the wanted key, and those that continue its value.
type iniLine struct {
	from, to int
	before   string // the key and what stands before the value
	value    string
	after    string // blanks behind the value
	bare     bool   // there is no separator
}

// found are the lines with the wanted key in the section.
func (e *iniEdit) found(l *lines) []iniLine {
	var out []iniLine
	for _, s := range e.sections(l) {
		for i := s.from; i < s.to; i++ {
			x, ok := e.read(l.text[i])
			if !ok {
				continue
			}
			x.from, x.to = i, i+1
			for e.multiline != nil && *e.multiline && x.to < s.to && continues(l, i, x.to) {
				x.value = x.value + "\n" + strings.TrimSpace(l.text[x.to])
				x.to++
			}
			out = append(out, x)
			i = x.to - 1
		}
	}
	return out
}

// read takes a line apart when it is one of the wanted key. A colon separates where no = follows, or where separator has it.
func (e *iniEdit) read(t string) (iniLine, bool) {
	at := len(t) - len(strings.TrimLeft(t, " \t"))
	rest, ok := strings.CutPrefix(t[at:], e.key)
	if !ok {
		return iniLine{}, false
	}
	at += len(e.key)
	tail := strings.TrimLeft(rest, " \t")
	if tail == "" {
		return iniLine{before: t[:at], after: rest, bare: true}, true
	}
	if tail[0] != '=' && (tail[0] != ':' || strings.Contains(tail, "=") && !strings.Contains(e.separator, ":")) {
		return iniLine{}, false
	}
	value := strings.TrimLeft(tail[1:], " \t")
	x := iniLine{before: t[:len(t)-len(value)], value: strings.TrimRight(value, " \t\r")}
	x.after = value[len(x.value):]
	return x, true
}

// continues says whether the line at goes on with the value that begins in the line first.
func continues(l *lines, first, at int) bool {
	t := l.text[at]
	if strings.TrimSpace(t) == "" {
		return false
	}
	return strings.HasSuffix(l.text[at-1], `\`) || indent(t) > indent(l.text[first]) && !isINIComment(t)
}

func indent(t string) int { return len(t) - len(strings.TrimLeft(t, " \t")) }

func isINIComment(t string) bool {
	t = strings.TrimLeft(t, " \t")
	return t != "" && (t[0] == '#' || t[0] == ';')
}

// touch refuses to change a value of which it is not clear where it ends.
func (e *iniEdit) touch(l *lines, x iniLine) error {
	if e.multiline == nil && x.to < len(l.text) && iniHeader.FindStringSubmatch(l.text[x.to]) == nil && continues(l, x.from, x.to) {
		return fmt.Errorf("line %d may go on with the value of %s in line %d: multiline = True says that it does, multiline = False that it does not", x.to+1, e.key, x.from+1)
	}
	return nil
}

func (e *iniEdit) remove(l *lines) error {
	for _, x := range slices.Backward(e.found(l)) {
		if len(e.values) > 0 && (x.bare || !slices.Contains(e.values, x.value)) {
			continue
		}
		if err := e.touch(l, x); err != nil {
			return err
		}
		l.remove(x.from, x.to)
	}
	return nil
}
