package template

import (
	"regexp"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// regexFilters use Go's regular expressions: linear in time, without look-around and back references.
func regexFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"regex_replace(pattern, replacement?, ignorecase?, multiline?, count?)": withText(filterRegexReplace),
		"regex_search(pattern, *groups, ignorecase?, multiline?)":               withText(filterRegexSearch),
		"regex_findall(pattern, ignorecase?, multiline?)":                       withText(filterRegexFindall),
		"regex_escape()": onText(regexp.QuoteMeta),
	}
}

const (
	maxPattern = 4096
	maxMatches = 100_000 // each costs about a hundred bytes while they are collected
)

// matches is all matches, or the first count of them.
func matches(re *regexp.Regexp, s string, count int) ([][]int, error) {
	limit := maxMatches + 1
	if count > 0 {
		limit = min(limit, count)
	}
	all := re.FindAllStringSubmatchIndex(s, limit)
	if len(all) > maxMatches {
		return nil, errorf("too many matches: more than %d", maxMatches)
	}
	return all, nil
}

func (r *run) pattern(a *args, name string) (*regexp.Regexp, error) {
	p, err := a.str(r, name, "")
	if err != nil {
		return nil, err
	}
	if len(p) > maxPattern {
		return nil, errorf("this pattern is too long: more than %d bytes", maxPattern)
	}
	if err := r.charge(100 + len(p)); err != nil { // compiling is not cheap
		return nil, err
	}
	flags := ""
	if a.bool("ignorecase", false) {
		flags += "i"
	}
	if a.bool("multiline", false) {
		flags += "m"
	}
	if flags != "" {
		p = "(?" + flags + ")" + p
	}
	return regexp.Compile(p)
}

// search charges for a run of the pattern over s.
func (r *run) search(re *regexp.Regexp, s string) error {
	return r.charge(1 + int(float64(len(s))*float64(len(re.String())+16)/256))
}

func filterRegexReplace(r *run, s string, a *args) (starlark.Value, error) {
	re, err := r.pattern(a, "pattern")
	if err != nil {
		return nil, err
	}
	with, err := a.str(r, "replacement", "")
	if err != nil {
		return nil, err
	}
	count, err := a.int("count", 0)
	if err != nil {
		return nil, err
	}
	if err := r.search(re, s); err != nil {
		return nil, err
	}
	parts, err := replacement(re, with)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	end := 0
	all, err := matches(re, s, count)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		b.WriteString(s[end:m[0]])
		for _, p := range parts {
			if p.group < 0 {
				b.WriteString(p.text)
			} else if m[2*p.group] >= 0 {
				b.WriteString(s[m[2*p.group]:m[2*p.group+1]])
			}
		}
		end = m[1]
		if err := r.charge(1 + len(parts)); err != nil {
			return nil, err
		}
		if b.Len() > maxText {
			return nil, r.grow(float64(b.Len()))
		}
	}
	b.WriteString(s[end:])
	return starlark.String(b.String()), r.grow(float64(b.Len()))
}

type replacePart struct {
	text  string
	group int // -1 for text
}

// replacement reads Python's \1 and \g<name>.
func replacement(re *regexp.Regexp, s string) ([]replacePart, error) {
	var parts []replacePart
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+1 == len(s) {
			return append(parts, replacePart{s, -1}), nil
		}
		parts = append(parts, replacePart{s[:i], -1})
		name, rest := "", s[i+2:]
		switch c := s[i+1]; {
		case c >= '0' && c <= '9':
			name = s[i+1 : i+2]
			if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
				name, rest = s[i+1:i+3], rest[1:]
			}
		case c == 'g' && strings.HasPrefix(rest, "<") && strings.Contains(rest, ">"):
			name, rest, _ = strings.Cut(rest[1:], ">")
		case c == '\\':
			parts, s = append(parts, replacePart{`\`, -1}), rest
			continue
		case c == 'n' || c == 't':
			parts, s = append(parts, replacePart{map[byte]string{'n': "\n", 't': "\t"}[c], -1}), rest
			continue
		default:
			return nil, errorf(`the replacement has an unknown escape \%c`, c)
		}
		g, err := group(re, name)
		if err != nil {
			return nil, err
		}
		parts, s = append(parts, replacePart{"", g}), rest
	}
}

func group(re *regexp.Regexp, name string) (int, error) {
	g, err := strconv.Atoi(name)
	if err != nil {
		g = re.SubexpIndex(name)
	}
	if g < 0 || g > re.NumSubexp() {
		return 0, errorf("the pattern has no group %s", name)
	}
	return g, nil
}

// filterRegexSearch gives the first match, or the list of the groups asked for; None when nothing matches.
func filterRegexSearch(r *run, s string, a *args) (starlark.Value, error) {
	re, err := r.pattern(a, "pattern")
	if err != nil {
		return nil, err
	}
	if err := r.search(re, s); err != nil {
		return nil, err
	}
	m := re.FindStringSubmatch(s)
	if m == nil {
		return starlark.None, nil
	}
	if len(a.rest) == 0 {
		return starlark.String(m[0]), nil
	}
	var out []string
	for _, v := range a.rest {
		name, err := r.plain(v)
		if err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, `\`), "g<"), ">")
		g, err := group(re, name)
		if err != nil {
			return nil, err
		}
		out = append(out, m[g])
	}
	return r.strings(out)
}

// filterRegexFindall gives every match: of the only group, or a list of the groups when there are several.
func filterRegexFindall(r *run, s string, a *args) (starlark.Value, error) {
	re, err := r.pattern(a, "pattern")
	if err != nil {
		return nil, err
	}
	if err := r.search(re, s); err != nil {
		return nil, err
	}
	all, err := matches(re, s, 0)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, m := range all {
		groups := make([]string, len(m)/2)
		for i := range groups {
			if m[2*i] >= 0 {
				groups[i] = s[m[2*i]:m[2*i+1]]
			}
		}
		if len(groups) <= 2 {
			out = append(out, starlark.String(groups[len(groups)-1]))
			continue
		}
		list, err := r.strings(groups[1:])
		if err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	return starlark.NewList(out), r.charge(len(out))
}
