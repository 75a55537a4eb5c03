package builtins

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/internal/token"
	"fabgo/transport"
)

// editLimit is how large a file may be that is edited: 16 MiB.
const editLimit = 16 << 20

// pattern is a regular expression (RE2) over one line, or over a whole text where ^ and $ stand at lines too.
type pattern struct{ *regexp.Regexp }

func patternOf(name, text string) (pattern, error) {
	if text == "" {
		return pattern{}, nil
	}
	re, err := regexp.Compile("(?m)" + text)
	if err != nil {
		return pattern{}, fmt.Errorf("%s: %w (the syntax is that of RE2, which has no lookaround and no backreferences)", name, err)
	}
	return pattern{re}, nil
}

// editing is a file of which a part is to be changed.
type editing struct {
	*fileResource
	create bool
	absent bool                             // nothing is to be there, so a missing file is right
	edit   func(old []byte) ([]byte, error) // of a missing file, nil
	call   *call
	owned  bool // owner was given, so it holds for an existing file too
}

// holding is what is asked of a file into which texts are put: one with a secret in it has likely an older one there, which the journal is not to
// have.
func (w writing) holding(texts ...string) writing {
	if slices.ContainsFunc(texts, token.In) {
		w.Sensitive = true
	}
	return w
}

// edited makes the resource of an edit; its content is told when the file was read.
func (c *call) edited(w writing, create, absent bool, edit func([]byte) ([]byte, error)) (starlark.Value, error) {
	r, err := w.resource(c, transport.Content{})
	if err != nil {
		return nil, err
	}
	return c.converge(&editing{r, create, absent, edit, c, w.Owner != ""})
}

// Reach is the file itself: its place is known also when its content is not.
func (r *editing) Reach() []converge.Object {
	return []converge.Object{{Key: r.want.Key, File: &converge.File{Type: transport.Regular, Follow: r.want.File.Follow}}}
}

func (r *editing) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	p := transport.Path(r.want.Key.Name)
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: true})
	if err != nil {
		return nil, err
	}
	var old []byte
	want := r.want
	f := *want.File
	want.File = &f
	switch {
	case fi.Type == transport.Absent && r.absent:
		return nil, nil
	case fi.Type == transport.Absent && !r.create:
		return nil, &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("edit %s: there is no such file", p), Hint: "create = True makes it"}
	case fi.Type == transport.Absent:
	case fi.Type != transport.Regular:
		return nil, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("edit %s: it is a %s, not a file", p, fi.Type)}
	default:
		if want.Hidden {
			r.call.Session.HideReads()
		}
		if old, err = readPieces(ctx, h, p, editLimit); err != nil {
			return nil, err
		}
		if !r.owned {
			f.Owner = ""
		}
	}
	now, err := r.edit(old)
	if err != nil {
		return nil, fmt.Errorf("edit %s: %w", p, err)
	}
	again, err := r.edit(now)
	if err != nil {
		return nil, fmt.Errorf("edit %s: the next run would fail, since then %w", p, err)
	}
	if !bytes.Equal(again, now) {
		return nil, fmt.Errorf("edit %s: the edit would change its own result again on every run: choose match so that it does not match what was put in, or so that the result stays the same", p)
	}
	c := transport.Bytes(now)
	f.Content = &c
	return []converge.Object{want}, nil
}

// readPieces reads a file piece by piece.
func readPieces(ctx context.Context, h transport.Host, p transport.Path, limit int64) ([]byte, error) {
	var all []byte
	for {
		d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: p, Offset: int64(len(all))})
		if err != nil {
			return nil, err
		}
		b, err := d.Content.ReadAll(transport.ReadLimit)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		if all = append(all, b...); int64(len(all)) > limit || d.More && int64(len(all)) == limit {
			return nil, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("read %s: it is larger than %d MiB", p, limit>>20)}
		}
		if !d.More || len(b) == 0 {
			return all, nil
		}
	}
}

// lines is a text in lines without their ends.
type lines struct {
	text []string
	ends []string // "\n", "\r\n", or of a last line without one "" or "\r"
}

func linesOf(b []byte) *lines {
	l := &lines{}
	for part := range strings.SplitAfterSeq(string(b), "\n") {
		if part == "" {
			continue
		}
		text := strings.TrimSuffix(strings.TrimSuffix(part, "\n"), "\r")
		l.text, l.ends = append(l.text, text), append(l.ends, part[len(text):])
	}
	return l
}

// end is how lines of this text end: as its first one does.
func (l *lines) end() string {
	if len(l.ends) > 0 && strings.HasPrefix(l.ends[0], "\r") {
		return "\r\n"
	}
	return "\n"
}

// insert puts lines before the line at.
func (l *lines) insert(at int, text ...string) { l.insertWith(l.end(), at, text) }

func (l *lines) insertWith(end string, at int, text []string) {
	ends := make([]string, len(text))
	for i := range ends {
		ends[i] = end
	}
	if at == len(l.ends) && at > 0 {
		switch l.ends[at-1] {
		case "":
			l.ends[at-1] = end
		case "\r":
			l.ends[at-1] = "\r\n"
		}
	}
	l.text = append(l.text[:at:at], append(append([]string{}, text...), l.text[at:]...)...)
	l.ends = append(l.ends[:at:at], append(ends, l.ends[at:]...)...)
}

// set replaces a line. An empty one without an end would be none.
func (l *lines) set(at int, text string) {
	if l.text[at] = text; text == "" && l.ends[at] == "" {
		l.ends[at] = l.end()
	}
}

func (l *lines) remove(from, to int) {
	l.text = append(l.text[:from:from], l.text[to:]...)
	l.ends = append(l.ends[:from:from], l.ends[to:]...)
}

// find is the index of a line that matches: the last, or the first; -1 when none does.
func (l *lines) find(match func(string) bool, first bool) int {
	at := -1
	for i, t := range l.text {
		if match(t) {
			at = i
			if first {
				break
			}
		}
	}
	return at
}

func (l *lines) bytes() []byte {
	var b bytes.Buffer
	for i, t := range l.text {
		b.WriteString(t)
		b.WriteString(l.ends[i])
	}
	return b.Bytes()
}

// placing says where new lines go.
type placing struct {
	After  *string `arg:"insert_after"`
	Before *string `arg:"insert_before"`
	First  bool    `arg:"first"`
}

// place finds the index at which new lines are to stand.
func (p placing) place() (func(l *lines) int, error) {
	end := func(l *lines) int { return len(l.text) }
	switch {
	case p.After != nil && p.Before != nil:
		return nil, fmt.Errorf("give insert_after or insert_before, not both")
	case p.Before != nil && *p.Before == "BOF":
		return func(*lines) int { return 0 }, nil
	case p.After == nil && p.Before == nil, p.After != nil && *p.After == "EOF":
		return end, nil
	}
	name, text, behind := "insert_before", p.Before, 0
	if p.After != nil {
		name, text, behind = "insert_after", p.After, 1
	}
	re, err := patternOf(name, *text)
	if err != nil {
		return nil, err
	}
	if re.Regexp == nil {
		return nil, fmt.Errorf("%s: it is empty: give a regular expression, or \"EOF\" to insert_after, or \"BOF\" to insert_before", name)
	}
	return func(l *lines) int {
		if i := l.find(re.MatchString, p.First); i >= 0 {
			return i + behind
		}
		return end(l)
	}, nil
}

func fileLine(c *call, a struct {
	writing
	placing
	Line     *string `arg:"line"`
	Match    string  `arg:"match"`
	Absent   bool    `arg:"absent"`
	Create   bool    `arg:"create"`
	Backrefs bool    `arg:"backrefs"`
}) (starlark.Value, error) {
	bad := func(f string, args ...any) (starlark.Value, error) {
		return nil, fmt.Errorf("file.line: "+f, args...)
	}
	re, err := patternOf("match", a.Match)
	if err != nil {
		return bad("%w", err)
	}
	place, err := a.place()
	switch {
	case err != nil:
		return bad("%w", err)
	case a.Line == nil && !a.Absent:
		return bad("give line")
	case a.Line == nil && re.Regexp == nil:
		return bad("give line or match: what is to be absent")
	case a.Line != nil && strings.ContainsAny(*a.Line, "\n\r"):
		return bad("line: %q is more than one line: file.block is for those", *a.Line)
	case a.Backrefs && (re.Regexp == nil || a.Absent):
		return bad("backrefs needs match, and a line that is to be present")
	}
	if a.Backrefs {
		if err := checkReplacement(re, *a.Line); err != nil {
			return bad("line: %w", err)
		}
	}
	is := func(t string) bool {
		return a.Line != nil && !a.Backrefs && t == *a.Line
	}
	matches := func(t string) bool { return re.Regexp != nil && re.MatchString(t) }
	if a.Line != nil {
		a.writing = a.writing.holding(*a.Line)
	}
	return c.edited(a.writing, a.Create, a.Absent, func(old []byte) ([]byte, error) {
		l := linesOf(old)
		if a.Absent {
			for i := len(l.text) - 1; i >= 0; i-- {
				if re.Regexp != nil && matches(l.text[i]) || re.Regexp == nil && is(l.text[i]) {
					l.remove(i, i+1)
				}
			}
			return l.bytes(), nil
		}
		if at := l.find(is, false); at >= 0 && !matches(*a.Line) {
			return old, nil
		}
		if at := l.find(matches, a.First); at >= 0 {
			if a.Backrefs {
				l.set(at, expandMatch(re, l.text[at], *a.Line))
			} else {
				l.set(at, *a.Line)
			}
			return l.bytes(), nil
		}
		if a.Backrefs {
			return old, nil
		}
		l.insert(place(l), *a.Line)
		return l.bytes(), nil
	})
}

// expandMatch is the whole line in place of the line that matched.
func expandMatch(re pattern, line, replacement string) string {
	m := re.FindStringSubmatchIndex(line)
	return string(expandReplacement(re, nil, replacement, []byte(line), m))
}
