package template

import (
	"strings"
	"unicode"
)

// scanner cuts a source into text and tags and applies whitespace control, by the rules of Jinja's own lexer.
type scanner struct {
	src     *source
	off     int
	trim    bool // drop the newline behind a block tag or comment
	lstrip  bool // drop the blanks between the start of a line and a block tag or comment
	eatLeft bool // the tag before ended in "-": drop whitespace up to the next non-blank
}

// tag is what comes behind a piece of text: "{{" or "{%", or "" at the end of the file.
type tag struct {
	open string
	off  int // of the opening delimiter
	toks []token
}

// next returns the text up to the next tag, and the tag. Comments and raw blocks are handled here; a raw block comes
// back as text with a tag whose open is "raw".
func (s *scanner) next() (text string, t tag, err error) {
	src := s.src.text
	start := s.off
	at, open := findOpen(src, s.off)
	text = src[start:at]
	if s.eatLeft {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		s.eatLeft = false
	}
	if open == "" {
		s.off = len(src)
		return text, tag{off: at}, nil
	}
	body := at + 2
	switch {
	case strings.HasPrefix(src[body:], "-"):
		text = strings.TrimRightFunc(text, unicode.IsSpace)
		body++
	case strings.HasPrefix(src[body:], "+") && open != "{{":
		body++
	case s.lstrip && open != "{{":
		line := strings.LastIndexByte(src[:at], '\n') + 1
		if strings.TrimLeft(src[line:at], " \t\r\f\v") == "" && line >= start {
			text = text[:strings.LastIndexByte(text, '\n')+1]
		}
	}
	switch open {
	case "{#":
		end := strings.Index(src[body:], "#}")
		if end < 0 {
			return "", tag{}, place{s.src, at}.errorf("this comment is never closed: missing #}")
		}
		end += body
		var sign byte
		if end > body && (src[end-1] == '-' || src[end-1] == '+') {
			sign = src[end-1]
		}
		s.closed(end+2, sign, true)
		return text, tag{open: open, off: at}, nil
	case "{{":
		toks, next, sign, err := lexTag(s.src, body, at, "}}")
		if err != nil {
			return "", tag{}, err
		}
		s.closed(next, sign, false)
		return text, tag{open, at, toks}, nil
	}
	if end, sign, ok := rawWord(src, body, "raw"); ok {
		raw, err := s.raw(at, end, sign)
		return text + raw, tag{open: "raw", off: at}, err
	}
	toks, next, sign, err := lexTag(s.src, body, at, "%}")
	if err != nil {
		return "", tag{}, err
	}
	s.closed(next, sign, true)
	return text, tag{open, at, toks}, nil
}

// closed moves behind a tag and does what its closing asks for.
func (s *scanner) closed(next int, sign byte, block bool) {
	s.off = next
	s.eatLeft = sign == '-'
	if block && sign == 0 && s.trim && strings.HasPrefix(s.src.text[next:], "\n") {
		s.off++
	}
}

func (s *scanner) raw(opened, off int, sign byte) (string, error) {
	src := s.src.text
	for at := off; ; at += 2 {
		i := strings.Index(src[at:], "{%")
		if i < 0 {
			return "", place{s.src, opened}.errorf("this raw block is never closed: missing {%% endraw %%}")
		}
		at += i
		body := at + 2
		left := byte(0)
		if body < len(src) && (src[body] == '-' || src[body] == '+') {
			left = src[body]
			body++
		}
		end, right, ok := rawWord(src, body, "endraw")
		if !ok {
			continue
		}
		text := src[off:at]
		if sign == '-' {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
		if left == '-' {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		} else if left == 0 && s.lstrip {
			if i := strings.LastIndexByte(text, '\n'); strings.TrimLeft(text[i+1:], " \t\r\f\v") == "" {
				text = text[:i+1]
			}
		}
		s.closed(end, right, true)
		return text, nil
	}
}

// rawWord says whether word and the closing of a block tag, and nothing else, stand at off.
func rawWord(src string, off int, word string) (end int, sign byte, ok bool) {
	rest := strings.TrimLeft(src[off:], " \t\r\n")
	if !strings.HasPrefix(rest, word) {
		return 0, 0, false
	}
	rest = strings.TrimLeft(rest[len(word):], " \t\r\n")
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign = rest[0]
		rest = rest[1:]
	}
	if !strings.HasPrefix(rest, "%}") {
		return 0, 0, false
	}
	return len(src) - len(rest) + 2, sign, true
}

func findOpen(src string, off int) (int, string) {
	for {
		i := strings.IndexByte(src[off:], '{')
		if i < 0 || off+i+1 >= len(src) {
			return len(src), ""
		}
		off += i
		if open := src[off : off+2]; open == "{{" || open == "{%" || open == "{#" {
			return off, open
		}
		off++
	}
}

// header reads Ansible's first line "#jinja2: lstrip_blocks: True, trim_blocks: False", which is not part of the
// output.
func (s *scanner) header() error {
	const mark = "#jinja2:"
	if !strings.HasPrefix(s.src.text, mark) {
		return nil
	}
	line, _, _ := strings.Cut(s.src.text, "\n")
	off := len(mark)
	for _, part := range strings.Split(line[len(mark):], ",") {
		at := place{s.src, off + len(part) - len(strings.TrimLeft(part, " \t"))}
		off += len(part) + 1
		name, val, _ := strings.Cut(part, ":")
		name, val = strings.TrimSpace(name), strings.ToLower(strings.TrimSpace(val))
		if val != "true" && val != "false" {
			return at.errorf("the #jinja2: line wants name:True or name:False, got %q", strings.TrimSpace(part))
		}
		switch name {
		case "trim_blocks":
			s.trim = val == "true"
		case "lstrip_blocks":
			s.lstrip = val == "true"
		default:
			return at.errorf("the #jinja2: line knows trim_blocks and lstrip_blocks, not %q%s", name, suggest(name, []string{"trim_blocks", "lstrip_blocks"}))
		}
	}
	s.off = min(len(line)+1, len(s.src.text))
	return nil
}
