package template

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	tEnd   kind = iota // the end of the tag
	tName              // an identifier or keyword
	tInt               // val is the literal
	tFloat             // val is the literal
	tStr               // val is the decoded string
	tOp                // val is the operator
)

type token struct {
	kind kind
	val  string
	off  int
}

// two-byte operators; every other operator is one of oneByteOps.
var twoByteOps = []string{"==", "!=", "<=", ">=", "//", "**", "<<", ">>"}

const oneByteOps = "+-*/%~|.,:()[]{}=<>&^"

// lexTag reads the tokens of one tag, from off (just behind its opening) to its closing delimiter ("}}" or "%}").
// It returns the tokens, ended by tEnd, the offset behind the closing delimiter, and the sign before it ('-', '+' or
// 0). A delimiter within brackets or a string does not close the tag.
func lexTag(src *source, off, opened int, closing string) (toks []token, next int, sign byte, err error) {
	text := src.text
	var open []int
	for {
		for off < len(text) && strings.IndexByte(" \t\n\r\f\v", text[off]) >= 0 {
			off++
		}
		if off >= len(text) {
			return nil, 0, 0, place{src, opened}.errorf("this tag is never closed: missing %s", closing)
		}
		if len(open) == 0 {
			if strings.HasPrefix(text[off:], closing) {
				return append(toks, token{kind: tEnd, off: off}), off + 2, 0, nil
			}
			if c := text[off]; (c == '-' || c == '+' && closing == "%}") && strings.HasPrefix(text[off+1:], closing) {
				return append(toks, token{kind: tEnd, off: off}), off + 3, c, nil
			}
		}
		start := off
		c := text[off]
		switch {
		case isNameStart(text[off:]):
			off += nameLen(text[off:])
			word := text[start:off]
			if off < len(text) && (text[off] == '"' || text[off] == '\'') && (word == "r" || word == "R") {
				var t token
				if t, off, err = lexString(src, start, off, true); err != nil {
					return nil, 0, 0, err
				}
				toks = append(toks, t)
				continue
			}
			toks = append(toks, token{tName, word, start})
		case c >= '0' && c <= '9':
			var t token
			if t, off, err = lexNumber(src, off); err != nil {
				return nil, 0, 0, err
			}
			toks = append(toks, t)
		case c == '"' || c == '\'':
			var t token
			if t, off, err = lexString(src, start, off, false); err != nil {
				return nil, 0, 0, err
			}
			toks = append(toks, t)
		default:
			op := ""
			for _, two := range twoByteOps {
				if strings.HasPrefix(text[off:], two) {
					op = two
				}
			}
			if op == "" && strings.IndexByte(oneByteOps, c) >= 0 {
				op = text[off : off+1]
			}
			if op == "" {
				r, _ := utf8.DecodeRuneInString(text[off:])
				return nil, 0, 0, place{src, off}.errorf("unexpected character %q", r)
			}
			switch op {
			case "(", "[", "{":
				open = append(open, off)
			case ")", "]", "}":
				if len(open) == 0 {
					return nil, 0, 0, place{src, off}.errorf("unexpected %q: no bracket is open", op)
				}
				was := text[open[len(open)-1]]
				if strings.IndexByte("([{", was) != strings.Index(")]}", op) {
					return nil, 0, 0, place{src, off}.errorf("unexpected %q: it does not close %q", op, string(was))
				}
				open = open[:len(open)-1]
			}
			off += len(op)
			toks = append(toks, token{tOp, op, start})
		}
	}
}

func isNameStart(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || r != utf8.RuneError && unicode.IsLetter(r)
}

func nameLen(s string) int {
	for i, r := range s {
		if r == '_' || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			continue
		}
		return i
	}
	return len(s)
}

func lexNumber(src *source, off int) (token, int, error) {
	text, start := src.text, off
	digits := func() {
		for off < len(text) && (text[off] >= '0' && text[off] <= '9' || text[off] == '_') {
			off++
		}
	}
	t := token{kind: tInt, off: start}
	if text[off] == '0' && off+1 < len(text) && strings.IndexByte("xXoObB", text[off+1]) >= 0 {
		off += 2
		for off < len(text) && (isHex(text[off]) || text[off] == '_') {
			off++
		}
	} else {
		digits()
		if off+1 < len(text) && text[off] == '.' && text[off+1] >= '0' && text[off+1] <= '9' {
			t.kind = tFloat
			off++
			digits()
		}
		if off < len(text) && (text[off] == 'e' || text[off] == 'E') {
			exp := off + 1
			if exp < len(text) && (text[exp] == '+' || text[exp] == '-') {
				exp++
			}
			if exp < len(text) && text[exp] >= '0' && text[exp] <= '9' {
				t.kind = tFloat
				off = exp
				digits()
			}
		}
	}
	if off < len(text) && isNameStart(text[off:]) || off-start > 1000 {
		return token{}, 0, place{src, start}.errorf("this is not a number: %.40q", text[start:off+nameLen(text[off:])])
	}
	t.val = strings.ReplaceAll(text[start:off], "_", "")
	if digits := strings.TrimLeft(t.val, "0"); t.kind == tInt && len(digits) < len(t.val) && digits != "" && strings.IndexByte("xXoObB", digits[0]) < 0 {
		return token{}, 0, place{src, start}.errorf("this is not a number: %.40q (octal numbers are written 0o17)", t.val)
	}
	return t, off, nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexValue(c byte) rune {
	switch {
	case c >= 'a':
		return rune(c-'a') + 10
	case c >= 'A':
		return rune(c-'A') + 10
	}
	return rune(c - '0')
}

// lexString reads the string whose quote is at off. An escape that Starlark does not know keeps its backslash, as in
// Jinja, because regular expressions are written so; a digit escape such as "\1" is refused, because whoever writes
// it means a group of a regular expression and would get an invisible byte.
func lexString(src *source, start, off int, raw bool) (token, int, error) {
	text := src.text
	quote := text[off : off+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[off:], triple) {
		quote = triple
	}
	off += len(quote)
	var b strings.Builder
	for {
		if off >= len(text) || text[off] == '\n' && len(quote) == 1 {
			return token{}, 0, place{src, start}.errorf("this string is never closed: missing %s", quote)
		}
		if strings.HasPrefix(text[off:], quote) {
			return token{tStr, b.String(), start}, off + len(quote), nil
		}
		c := text[off]
		if c != '\\' || off+1 >= len(text) {
			b.WriteByte(c)
			off++
			continue
		}
		e := text[off+1]
		if raw {
			b.WriteString(text[off : off+2])
			off += 2
			continue
		}
		if i := strings.IndexByte("ntr\\'\"abfv", e); i >= 0 {
			b.WriteByte("\n\t\r\\'\"\a\b\f\v"[i])
			off += 2
			continue
		}
		switch e {
		case '\n':
			off += 2
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[e]
			var r rune
			for i := range n {
				if off+2+i >= len(text) || !isHex(text[off+2+i]) {
					return token{}, 0, place{src, off}.errorf("\\%c wants %d hexadecimal digits", e, n)
				}
				r = r<<4 | hexValue(text[off+2+i])
			}
			if !utf8.ValidRune(r) {
				return token{}, 0, place{src, off}.errorf("\\%c names no character", e)
			}
			b.WriteRune(r)
			off += 2 + n
		default:
			if e >= '0' && e <= '9' {
				return token{}, 0, place{src, off}.errorf(`\%c is ambiguous: write \\%c for a group of a regular expression, \x0%c for the byte`, e, e, e)
			}
			b.WriteByte('\\')
			off++
		}
	}
}
