package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"fabgo/internal/token"
)

// Escape makes a text from anywhere safe for a terminal, in one line: control characters (C0, DEL, C1), those that reorder or hide text
// (bidirectional controls, zero-width and other format characters, line separators) and bytes that are not UTF-8 are written as
// \n, \x1b, \u202e and the like. A backslash stays as it is: this is for reading, not for undoing.
func Escape(s string) string { return escape(s, false) }

// escapeKeepTabs is Escape for the lines of files, where a tab is layout.
func escapeKeepTabs(s string) string { return escape(s, true) }

func escape(s string, tabs bool) string {
	if plain(s) {
		return s
	}
	s = token.Show(s)
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t' && tabs:
			b.WriteByte('\t')
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !shown(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case !shown(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// plain is the usual case: printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// shown reports whether a character shows as itself: format characters (Cf, among them the bidirectional ones), line and paragraph
// separators, and variation selectors and tags that hide data do not.
func shown(r rune) bool {
	switch {
	case unicode.Is(unicode.Cf, r), r == 0x2028, r == 0x2029, r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0000 && r <= 0xe0fff:
		return false
	}
	return true
}

// lines splits a text that may have several lines, each escaped; a last line break adds none.
func lines(s string) []string {
	s = strings.TrimRight(s, "\n")
	if s == "" {
		return nil
	}
	ls := strings.Split(s, "\n")
	for i, l := range ls {
		ls[i] = escapeKeepTabs(strings.TrimSuffix(l, "\r"))
	}
	return ls
}

// columns is how many cells of a terminal an escaped text takes, rather more than less.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r == '\t':
			n += 8
		case r >= 0x1100:
			n += 2
		default:
			n++
		}
	}
	return n
}

// cut shortens an escaped text to a number of cells, with an ellipsis.
func cut(s string, limit int) string {
	if columns(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		w := columns(string(r))
		if n+w > limit-2 {
			return s[:i] + "…"
		}
		n += w
	}
	return s
}
