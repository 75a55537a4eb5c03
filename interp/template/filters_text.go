package template

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// textFilters work on text; numbers count as text, None and lists do not.
func textFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"upper()":                        onText(strings.ToUpper),
		"lower()":                        onText(strings.ToLower),
		"title()":                        onText(title),
		"capitalize()":                   onText(capitalize),
		"trim(chars?)":                   withText(filterTrim),
		"replace(old, new, count?)":      withText(filterReplace),
		"indent(width?, first?, blank?)": withText(filterIndent),
		"wordwrap(width?, break_long_words?, wrapstring?, break_on_hyphens?)": withText(filterWordwrap),
		"truncate(length?, killwords?, end?, leeway?)":                        withText(filterTruncate),
		"center(width?)": withText(filterCenter),
		"ljust(width)":   withText(filterLjust),
		"rjust(width)":   withText(filterRjust),
		"wordcount()":    withText(filterWordcount),
		"comment(style?, decoration?, beginning?, end?, prefix?, postfix?)": withText(filterComment),
		"split(separator?, maxsplit?)":                                      withText(filterSplit),
		"splitlines()":                                                      withText(filterSplitlines),
		"format(*args, **kwargs)":                                           withText(filterFormat),
		"basename()":                                                        onText(func(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }),
		"dirname()":                                                         onText(dirname),
		"splitext()":                                                        withText(filterSplitext),
	}
}

func onText(f func(string) string) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		s, err := r.plain(v)
		if err != nil {
			return nil, err
		}
		if err := r.grow(float64(len(s))); err != nil {
			return nil, err
		}
		return starlark.String(f(s)), nil
	}
}

func withText(f func(r *run, s string, a *args) (starlark.Value, error)) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		s, err := r.plain(v)
		if err != nil {
			return nil, err
		}
		if err := r.grow(float64(len(s))); err != nil {
			return nil, err
		}
		return f(r, s, a)
	}
}

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
}

// title begins a word behind blanks, hyphens and opening brackets only, as Jinja does: "it's" stays "It's".
func title(s string) string {
	var b strings.Builder
	start := true
	for _, c := range s {
		switch {
		case unicode.IsSpace(c) || strings.ContainsRune("-({[<", c):
			b.WriteRune(c)
			start = true
			continue
		case start:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteString(strings.ToLower(string(c)))
		}
		start = false
	}
	return b.String()
}

func dirname(s string) string {
	i := strings.LastIndexByte(s, '/') + 1
	if head := strings.TrimRight(s[:i], "/"); head != "" {
		return head
	}
	return s[:i]
}

func filterSplitext(r *run, s string, a *args) (starlark.Value, error) {
	ext := path.Ext(s)
	base := path.Base(s)
	if strings.TrimLeft(base, ".") == strings.TrimPrefix(ext, ".") { // a name such as .profile has no extension
		ext = ""
	}
	return starlark.Tuple{starlark.String(s[:len(s)-len(ext)]), starlark.String(ext)}, nil
}

func filterTrim(r *run, s string, a *args) (starlark.Value, error) {
	chars, err := a.str(r, "chars", "")
	if err != nil {
		return nil, err
	}
	if chars == "" {
		return starlark.String(strings.TrimSpace(s)), nil
	}
	return starlark.String(strings.Trim(s, chars)), r.charge(len(s))
}

func filterReplace(r *run, s string, a *args) (starlark.Value, error) {
	old, err := a.str(r, "old", "")
	if err != nil {
		return nil, err
	}
	with, err := a.str(r, "new", "")
	if err != nil {
		return nil, err
	}
	count, err := a.int("count", -1)
	if err != nil {
		return nil, err
	}
	if err := r.growReplace(s, old, with); err != nil {
		return nil, err
	}
	return starlark.String(strings.Replace(s, old, with, count)), nil
}

// filterIndent indents all lines but the first; width is a number of blanks or the text to indent with.
func filterIndent(r *run, s string, a *args) (starlark.Value, error) {
	by := "    "
	if text, ok := a.get("width").(starlark.String); ok {
		by = string(text)
	} else if w, err := a.int("width", 4); err != nil {
		return nil, err
	} else {
		by = strings.Repeat(" ", max(0, w))
	}
	if err := r.grow(float64(len(s)) + float64(strings.Count(s, "\n")+1)*float64(len(by))); err != nil {
		return nil, err
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if i > 0 && (line != "" || a.bool("blank", false)) || i == 0 && a.bool("first", false) {
			lines[i] = by + line
		}
	}
	return starlark.String(strings.Join(lines, "\n")), nil
}

func filterWordwrap(r *run, s string, a *args) (starlark.Value, error) {
	width, err := a.int("width", 79)
	if err != nil {
		return nil, err
	}
	if width < 1 {
		return nil, errorf("width is at least 1, got %d", width)
	}
	with, err := a.str(r, "wrapstring", "\n")
	if err != nil {
		return nil, err
	}
	if err := r.grow(float64(len(s)) * (1 + float64(len(with)))); err != nil {
		return nil, err
	}
	var out []string
	for _, line := range pyLines(s) {
		out = append(out, wrap(line, width, a.bool("break_long_words", true), a.bool("break_on_hyphens", true))...)
	}
	return starlark.String(strings.Join(out, with)), nil
}

// wrap fills lines as Python's textwrap does, with its blanks kept within a line and dropped where it breaks.
func wrap(line string, width int, breakLong, hyphens bool) []string {
	var chunks []string
	for rest := []rune(line); len(rest) > 0; {
		blank := unicode.IsSpace(rest[0])
		n := 1
		for n < len(rest) && unicode.IsSpace(rest[n]) == blank {
			n++
			if hyphens && !blank && n >= 2 && n < len(rest) && rest[n-1] == '-' && unicode.IsLetter(rest[n-2]) && unicode.IsLetter(rest[n]) {
				break
			}
		}
		chunks = append(chunks, string(rest[:n]))
		rest = rest[n:]
	}
	var lines []string
	for len(chunks) > 0 {
		if strings.TrimSpace(chunks[0]) == "" && len(lines) > 0 {
			chunks = chunks[1:]
			continue
		}
		var cur strings.Builder
		n := 0
		for len(chunks) > 0 {
			l := utf8.RuneCountInString(chunks[0])
			if n+l > width {
				if l > width && (breakLong || n == 0) {
					take := l
					if breakLong {
						take = max(width-n, 0)
						if n == 0 {
							take = max(take, 1)
						}
					}
					word := []rune(chunks[0])
					cur.WriteString(string(word[:take]))
					n += take
					chunks[0] = string(word[take:])
					if take == l {
						chunks = chunks[1:]
					}
				}
				break
			}
			cur.WriteString(chunks[0])
			n += l
			chunks = chunks[1:]
		}
		if text := strings.TrimRightFunc(cur.String(), unicode.IsSpace); text != "" {
			lines = append(lines, text)
		}
	}
	if lines == nil {
		return []string{""}
	}
	return lines
}

// pyLines is Python's str.splitlines for \n, \r\n and \r: a newline at the end begins no further line.
func pyLines(s string) []string {
	if s == "" {
		return nil
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func filterTruncate(r *run, s string, a *args) (starlark.Value, error) {
	length, err := a.int("length", 255)
	if err != nil {
		return nil, err
	}
	leeway, err := a.int("leeway", 5)
	if err != nil {
		return nil, err
	}
	end, err := a.str(r, "end", "...")
	if err != nil {
		return nil, err
	}
	endLen := utf8.RuneCountInString(end)
	if length < endLen || leeway < 0 {
		return nil, errorf("length is at least that of end, %d, and leeway at least 0", endLen)
	}
	if utf8.RuneCountInString(s) <= length+leeway {
		return starlark.String(s), nil
	}
	cut := string([]rune(s)[:length-endLen])
	if !a.bool("killwords", false) {
		if i := strings.LastIndexByte(cut, ' '); i >= 0 {
			cut = cut[:i]
		}
	}
	return starlark.String(cut + end), nil
}

// pad gives the blanks that s lacks to fill width.
func pad(s string, a *args, dflt int) (int, error) {
	w, err := a.int("width", dflt)
	return max(0, w-utf8.RuneCountInString(s)), err
}

func filterCenter(r *run, s string, a *args) (starlark.Value, error) {
	n, err := pad(s, a, 80)
	if err != nil {
		return nil, err
	}
	w := n + utf8.RuneCountInString(s)
	left := n/2 + n&w&1 // as Python rounds
	return starlark.String(strings.Repeat(" ", left) + s + strings.Repeat(" ", n-left)), nil
}

func filterLjust(r *run, s string, a *args) (starlark.Value, error) {
	n, err := pad(s, a, 0)
	return starlark.String(s + strings.Repeat(" ", n)), err
}

func filterRjust(r *run, s string, a *args) (starlark.Value, error) {
	n, err := pad(s, a, 0)
	return starlark.String(strings.Repeat(" ", n) + s), err
}

func filterWordcount(r *run, s string, a *args) (starlark.Value, error) {
	words := strings.FieldsFunc(s, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	return starlark.MakeInt(len(words)), nil
}

func filterSplit(r *run, s string, a *args) (starlark.Value, error) {
	limit, err := a.int("maxsplit", -1)
	if err != nil {
		return nil, err
	}
	var parts []string
	if sep := a.get("separator"); sep == nil || sep == starlark.None {
		parts = strings.Fields(s)
		if limit >= 0 && len(parts) > limit {
			rest := strings.TrimLeftFunc(s, unicode.IsSpace)
			for i := range limit {
				rest = strings.TrimLeftFunc(rest[len(parts[i]):], unicode.IsSpace)
			}
			parts = append(parts[:limit], rest)
		}
	} else {
		by, err := a.str(r, "separator", "")
		if err != nil {
			return nil, err
		}
		if by == "" {
			return nil, errorf("the separator is empty: use | list for the characters of a text")
		}
		if limit >= 0 {
			limit++
		}
		parts = strings.SplitN(s, by, limit)
	}
	return r.strings(parts)
}

func (r *run) strings(parts []string) (starlark.Value, error) {
	list := make([]starlark.Value, len(parts))
	for i, p := range parts {
		list[i] = starlark.String(p)
	}
	return starlark.NewList(list), r.charge(len(list))
}

func filterSplitlines(r *run, s string, a *args) (starlark.Value, error) {
	return r.strings(pyLines(s))
}

func filterFormat(r *run, s string, a *args) (starlark.Value, error) {
	if len(a.rest) > 0 && len(a.kw) > 0 {
		return nil, errorf("want positional or named arguments, not both")
	}
	var with starlark.Value = starlark.Tuple(a.rest)
	if len(a.kw) > 0 {
		d := new(starlark.Dict)
		for _, kv := range a.kw {
			if err := d.SetKey(kv[0], kv[1]); err != nil {
				return nil, err
			}
		}
		with = d
	}
	text, err := r.format(s, with)
	return starlark.String(text), err
}

// filterComment turns text into a comment: Ansible's styles, whose frame is a line of the decoration alone.
func filterComment(r *run, s string, a *args) (starlark.Value, error) {
	style, err := a.str(r, "style", "plain")
	if err != nil {
		return nil, err
	}
	known, ok := map[string][3]string{
		"plain":  {"# ", "", ""},
		"erlang": {"% ", "", ""},
		"c":      {"// ", "", ""},
		"cblock": {" * ", "/*", " */"},
		"xml":    {" - ", "<!--", "-->"},
	}[style]
	if !ok {
		return nil, errorf("style is plain, erlang, c, cblock or xml, got %q", style)
	}
	var parts [5]string
	for i, name := range []string{"decoration", "beginning", "end", "prefix", "postfix"} {
		dflt := ""
		if i < 3 {
			dflt = known[i]
		} else {
			dflt = strings.TrimRight(parts[0], " ")
		}
		if parts[i], err = a.str(r, name, dflt); err != nil {
			return nil, err
		}
	}
	deco := parts[0]
	lines := strings.Split(s, "\n")
	n := float64(len(s)) + float64(len(deco)+1)*float64(len(lines))
	if err := r.grow(n); err != nil {
		return nil, err
	}
	for i, line := range lines {
		lines[i] = deco + line
		if line == "" && i+1 < len(lines) {
			lines[i] = strings.TrimRight(deco, " ")
		}
	}
	var out []string
	if parts[1] != "" {
		out = append(out, parts[1])
	}
	if parts[3] != "" {
		out = append(out, parts[3])
	}
	out = append(out, lines...)
	if parts[4] != "" {
		out = append(out, parts[4])
	}
	if parts[2] != "" {
		out = append(out, parts[2])
	}
	return starlark.String(strings.Join(out, "\n")), nil
}
