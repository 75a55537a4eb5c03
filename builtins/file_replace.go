package builtins

import (
	"bytes"
	"fmt"
	"regexp"

	"go.starlark.net/starlark"
)

func fileReplace(c *call, a struct {
	writing
	Match       string `arg:"match"`
	Replacement string `arg:"replacement"`
	Literal     bool   `arg:"literal"`
	After       string `arg:"after"`
	Before      string `arg:"before"`
	Required    bool   `arg:"required"`
}) (starlark.Value, error) {
	bad := func(f string, args ...any) (starlark.Value, error) {
		return nil, fmt.Errorf("file.replace: "+f, args...)
	}
	if a.Match == "" {
		return bad("match is empty")
	}
	if a.Required && a.Replacement == "" {
		return bad("required: what is removed cannot be found again by the next run: leave required out, or give a replacement")
	}
	text := a.Match
	if a.Literal {
		text = regexp.QuoteMeta(text)
	}
	re, err := patternOf("match", text)
	if err != nil {
		return bad("%w", err)
	}
	if !a.Literal {
		if err := checkReplacement(re, a.Replacement); err != nil {
			return bad("replacement: %w", err)
		}
	}
	after, err := patternOf("after", a.After)
	if err != nil {
		return bad("%w", err)
	}
	before, err := patternOf("before", a.Before)
	if err != nil {
		return bad("%w", err)
	}
	replace := func(part []byte) []byte {
		var out []byte
		last := 0
		for _, m := range re.FindAllSubmatchIndex(part, -1) {
			out = append(out, part[last:m[0]]...)
			if a.Literal {
				out = append(out, a.Replacement...)
			} else {
				out = expandReplacement(re, out, a.Replacement, part, m)
			}
			last = m[1]
		}
		return append(out, part[last:]...)
	}
	return c.edited(a.writing.holding(a.Replacement), false, false, func(old []byte) ([]byte, error) {
		from, to := 0, len(old)
		found := true
		if after.Regexp != nil {
			m := after.FindIndex(old)
			if found = m != nil; found {
				from = m[1]
			}
		}
		if before.Regexp != nil && found {
			m := before.FindIndex(old[from:])
			if found = m != nil; found {
				to = from + m[0]
			}
		}
		if found && re.Match(old[from:to]) {
			return append(append(bytes.Clone(old[:from]), replace(old[from:to])...), old[to:]...), nil
		}
		if a.Required && !(found && bytes.Contains(old[from:to], []byte(a.Replacement))) {
			return nil, fmt.Errorf("nothing matches %q, and the replacement is not there either", a.Match)
		}
		return old, nil
	})
}

var reference = whenUsed(`\\(\\|[0-9]|g<[^>]*>)`)

// checkReplacement looks whether the groups that a replacement names exist.
func checkReplacement(re pattern, replacement string) error {
	for _, m := range reference().FindAllStringSubmatch(replacement, -1) {
		if m[1] != `\` && group(re, m[1]) < 0 {
			return fmt.Errorf("%s stands for a group, and match has no such group", m[0])
		}
	}
	return nil
}

// group is the number of a group that is named by a digit or as g<name>; -1 when there is none.
func group(re pattern, name string) int {
	if len(name) == 1 {
		if n := int(name[0] - '0'); n <= re.NumSubexp() {
			return n
		}
		return -1
	}
	return re.SubexpIndex(name[2 : len(name)-1])
}

// expandReplacement appends a replacement: \1 to \9 and \g<name> stand for groups, \0 for the whole match, \\ for a backslash.
func expandReplacement(re pattern, out []byte, replacement string, text []byte, m []int) []byte {
	last := 0
	for _, r := range reference().FindAllStringSubmatchIndex(replacement, -1) {
		out = append(out, replacement[last:r[0]]...)
		last = r[1]
		name := replacement[r[2]:r[3]]
		if name == `\` {
			out = append(out, '\\')
		} else if n := group(re, name); m[2*n] >= 0 {
			out = append(out, text[m[2*n]:m[2*n+1]]...)
		}
	}
	return append(out, replacement[last:]...)
}
