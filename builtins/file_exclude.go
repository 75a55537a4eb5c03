package builtins

import (
	"fmt"
	"regexp"
	"strings"
)

// exclusion is a pattern of names: without a slash of names at any depth, with one of paths below the folder.
type exclusion struct {
	re     *regexp.Regexp
	name   bool
	folder bool // folders only
}

func exclusionOf(text string) (exclusion, error) {
	var e exclusion
	text, e.folder = strings.CutSuffix(text, "/")
	path, rooted := strings.CutPrefix(text, "/")
	if path == "" {
		return e, fmt.Errorf("pattern is empty")
	}
	e.name = !rooted && !strings.Contains(path, "/")
	re, err := globPattern(path)
	e.re = re
	return e, err
}

// isExcluded reports whether a path, or a folder above it, is excluded.
func (r *syncTree) isExcluded(path string, dir bool) bool {
	for ; path != ""; dir = true {
		above, base := cutLast(path)
		for _, e := range r.excluded {
			if (dir || !e.folder) && (e.name && e.re.MatchString(base) || !e.name && e.re.MatchString(path)) {
				return true
			}
		}
		path = above
	}
	return false
}

// globPattern turns a shell pattern into a regular expression: * and ? do not match /, ** matches any number of folders, [...] a set.
func globPattern(glob string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	parts := strings.Split(glob, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "**" && last:
			b.WriteString(`.+`)
		case part == "**":
			b.WriteString(`(?:[^/]+/)*`)
		default:
			if err := globName(&b, part); err != nil {
				return nil, fmt.Errorf("pattern %q: %w", glob, err)
			}
			if !last {
				b.WriteString("/")
			}
		}
	}
	re, err := regexp.Compile(b.String() + `\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: its [...] is no set of characters", glob)
	}
	return re, nil
}

func globName(b *strings.Builder, part string) error {
	for i := 0; i < len(part); i++ {
		switch part[i] {
		case '*':
			b.WriteString(`[^/]*`)
		case '?':
			b.WriteString(`[^/]`)
		case '[':
			n := strings.IndexByte(part[min(i+2, len(part)):], ']')
			if n < 0 {
				return fmt.Errorf("[ without ]")
			}
			set := part[i+1 : i+2+n]
			i += 2 + n
			not := ""
			if set[0] == '!' || set[0] == '^' {
				not, set = "^/", set[1:]
			}
			b.WriteString("[" + not + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(set) + "]")
		case '\\':
			if i++; i == len(part) {
				return fmt.Errorf("it ends in a backslash")
			}
			b.WriteString(regexp.QuoteMeta(part[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(part[i : i+1]))
		}
	}
	return nil
}
