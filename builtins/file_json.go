package builtins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

func fileJSON(c *call, a documentArgs) (starlark.Value, error) {
	return c.document(a, documentFormat{parseJSONTree, changeJSON})
}

// jsonNode is a value in the text of a document.
type jsonNode struct {
	from, to int
	kind     byte // '{', '[', or 0 for a scalar
	scalar   any
	members  []jsonMember
}

// jsonMember is a member of an object, or an element, which has no key.
type jsonMember struct {
	from   int // of the key, or of the element
	key    string
	keyEnd int
	value  *jsonNode
	comma  int // where the comma behind it stands; -1: there is none
}

// jsonScanner reads JSON with comments and with commas behind the last member, as many programs allow it in their configuration.
type jsonScanner struct {
	b  []byte
	at int
}

func parseJSONTree(b []byte) (any, error) {
	n, err := parseJSON(b)
	if err != nil || n == nil {
		return nil, err
	}
	return n.tree(), nil
}

// parseJSON reads a document; a blank one is nil.
func parseJSON(b []byte) (*jsonNode, error) {
	s := &jsonScanner{b: b}
	if bytes.HasPrefix(b, []byte("\ufeff")) {
		s.at = 3
	}
	if err := s.space(); err != nil || s.at == len(b) {
		return nil, err
	}
	n, err := s.value(0)
	if err == nil {
		err = s.space()
	}
	if err == nil && s.at < len(b) {
		err = s.fail("something follows the document")
	}
	return n, err
}

func (s *jsonScanner) fail(f string, args ...any) error {
	before := s.b[:min(s.at, len(s.b))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Errorf("it is not JSON: line %d, column %d: "+f, append([]any{line, len(before) - bytes.LastIndexByte(before, '\n')}, args...)...)
}

// space skips blanks and comments.
func (s *jsonScanner) space() error {
	for s.at < len(s.b) {
		rest := s.b[s.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			s.at++
		case bytes.HasPrefix(rest, []byte("//")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			s.at += end
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return s.fail("a comment has no end")
			}
			s.at += end + 4
		default:
			return nil
		}
	}
	return nil
}

func (s *jsonScanner) peek() byte {
	if s.at < len(s.b) {
		return s.b[s.at]
	}
	return 0
}

func (s *jsonScanner) value(depth int) (*jsonNode, error) {
	n := &jsonNode{from: s.at}
	var err error
	switch c := s.peek(); {
	case depth > depthLimit:
		return nil, s.fail("it is nested deeper than %d", depthLimit)
	case c == '{' || c == '[':
		n.kind = c
		err = s.members(n, depth)
	case c == '"':
		n.scalar, err = s.text()
	default:
		end := bytes.IndexAny(s.b[s.at:], " \t\r\n,]}/:{[\"")
		if end < 0 {
			end = len(s.b) - s.at
		}
		word := s.b[s.at : s.at+end]
		if !json.Valid(word) {
			return nil, s.fail("%q is no value", word)
		}
		switch string(word) {
		case "null":
		case "true", "false":
			n.scalar = c == 't'
		default:
			n.scalar, err = numberOf(string(word))
		}
		s.at += end
	}
	n.to = s.at
	return n, err
}

func (s *jsonScanner) text() (string, error) {
	for i := s.at + 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			raw := s.b[s.at : i+1]
			var t string
			if !utf8.Valid(raw) {
				return "", s.fail("a string is not UTF-8")
			}
			if err := json.Unmarshal(raw, &t); err != nil {
				return "", s.fail("a string: %w", err)
			}
			s.at = i + 1
			return t, nil
		}
	}
	return "", s.fail("a string has no end")
}

// members reads what stands between the brackets.
func (s *jsonScanner) members(n *jsonNode, depth int) error {
	s.at++
	closing := byte('}')
	if n.kind == '[' {
		closing = ']'
	}
	seen := map[string]bool{}
	for {
		if err := s.space(); err != nil {
			return err
		}
		if s.peek() == closing && s.at < len(s.b) {
			s.at++
			return nil
		}
		if len(n.members) > 0 && n.members[len(n.members)-1].comma < 0 {
			return s.fail("a comma or %c is missing", closing)
		}
		m := jsonMember{from: s.at, comma: -1}
		var err error
		if n.kind == '{' {
			if s.peek() != '"' {
				return s.fail("a key in quotation marks or %c is missing", closing)
			}
			if m.key, err = s.text(); err != nil {
				return err
			}
			if m.keyEnd = s.at; seen[m.key] {
				return s.fail("the key %q stands there twice: remove one of them", m.key)
			}
			seen[m.key] = true
			if err := s.space(); err != nil {
				return err
			}
			if s.peek() != ':' {
				return s.fail("a colon is missing behind the key %q", m.key)
			}
			s.at++
			if err := s.space(); err != nil {
				return err
			}
		}
		if m.value, err = s.value(depth + 1); err != nil {
			return err
		}
		if err := s.space(); err != nil {
			return err
		}
		if s.peek() == ',' {
			m.comma = s.at
			s.at++
		}
		n.members = append(n.members, m)
	}
}

func (n *jsonNode) tree() any {
	switch n.kind {
	case '{':
		m := map[string]any{}
		for _, x := range n.members {
			m[x.key] = x.value.tree()
		}
		return m
	case '[':
		l := []any{}
		for _, x := range n.members {
			l = append(l, x.value.tree())
		}
		return l
	}
	return n.scalar
}
