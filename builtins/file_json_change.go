package builtins

import (
	"bytes"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// changeJSON makes one change in the text and leaves the rest of it.
func changeJSON(b []byte, ch documentChange) ([]byte, error) {
	root, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	if root == nil { // blank, or comments only
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(bytes.Clone(b), '\n')
		}
		empty := append(bytes.Clone(b), "{}\n"...)
		if root, err = parseJSON(empty); err != nil {
			return nil, err
		}
		b = empty
	}
	var parent *jsonNode
	node, at := root, -1
	for _, k := range ch.at {
		parent = node
		for i, m := range node.members {
			if node.kind == '[' && k == i || node.kind == '{' && k == m.key {
				node, at = m.value, i
				break
			}
		}
		if node == parent {
			return nil, fmt.Errorf("%s is not there", pathText(ch.at))
		}
	}
	if ch.op == addMember && node.kind == 0 { // the document is null
		b = splice(b, node.from, node.to, "{}")
		node.to, node.kind = node.from+2, '{'
	}
	style := jsonStyleOf(b, root)
	switch ch.op {
	case replaceValue:
		if len(node.members) > 0 && !bytes.ContainsRune(b[node.from:node.to], '\n') {
			style.pretty = false
		}
		return splice(b, node.from, node.to, style.render(ch.value, marginAt(b, node.from))), nil
	case removeValue:
		return removeJSON(b, parent, at), nil
	}
	return style.add(b, node, ch), nil
}

func splice(b []byte, from, to int, text string) []byte {
	return append(append(bytes.Clone(b[:from]), text...), b[to:]...)
}

// marginAt is the blank space that the line of a place begins with.
func marginAt(b []byte, at int) string {
	line := b[bytes.LastIndexByte(b[:at], '\n')+1 : at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// jsonStyle is how a document is written.
type jsonStyle struct {
	pretty       bool   // each member has a line of its own
	unit         string // one level of indentation
	newline      string
	colon, comma string
}

func jsonStyleOf(b []byte, root *jsonNode) jsonStyle {
	s := jsonStyle{unit: "  ", newline: "\n", colon: ": ", comma: ", "}
	if i := bytes.IndexByte(b, '\n'); i > 0 && b[i-1] == '\r' {
		s.newline = "\r\n"
	}
	s.pretty = len(root.members) == 0 || onLines(b, root)
	indented, spelled := false, false
	var visit func(n *jsonNode)
	visit = func(n *jsonNode) {
		if len(n.members) == 0 || indented && spelled {
			return
		}
		m := n.members[0]
		if unit, ok := strings.CutPrefix(marginAt(b, m.from), marginAt(b, n.from)); ok && unit != "" && !indented && onLines(b, n) {
			s.unit, indented = unit, true
		}
		if gap := string(b[m.keyEnd:m.value.from]); n.kind == '{' && !spelled && strings.Trim(gap, " \t") == ":" {
			if s.colon, spelled = gap, true; gap == ":" {
				s.comma = ","
			}
		}
		for _, m := range n.members {
			visit(m.value)
		}
	}
	visit(root)
	return s
}

// onLines says whether the members of a value begin on lines below its bracket.
func onLines(b []byte, n *jsonNode) bool {
	return len(n.members) > 0 && bytes.ContainsRune(b[n.from:n.members[0].from], '\n')
}

// render writes a value whose line begins with margin.
func (s jsonStyle) render(v starlark.Value, margin string) string {
	var parts []string
	open, closing := "[", "]"
	inner := margin + s.unit
	switch v := v.(type) {
	case starlark.NoneType:
		return "null"
	case starlark.Bool:
		return strings.ToLower(v.String())
	case starlark.Float:
		return floatText(v)
	case starlark.String:
		return jsonQuoted(string(v))
	case starlark.IterableMapping:
		open, closing = "{", "}"
		for _, kv := range v.Items() {
			k, _ := starlark.AsString(kv[0])
			parts = append(parts, jsonQuoted(k)+s.colon+s.render(kv[1], inner))
		}
	case starlark.Iterable:
		for x := range starlark.Elements(v) {
			parts = append(parts, s.render(x, inner))
		}
	default:
		return v.String()
	}
	switch {
	case len(parts) == 0:
		return open + closing
	case s.pretty:
		return open + s.newline + inner + strings.Join(parts, ","+s.newline+inner) + s.newline + margin + closing
	}
	return open + strings.Join(parts, s.comma) + closing
}

// add puts a member behind the last one, and behind the comments that follow it.
func (s jsonStyle) add(b []byte, n *jsonNode, ch documentChange) []byte {
	member := func(margin string) string {
		if ch.op == addElement {
			return s.render(ch.value, margin)
		}
		return jsonQuoted(ch.key) + s.colon + s.render(ch.value, margin)
	}
	outer := marginAt(b, n.from)
	inside := b[n.from+1 : n.to-1]
	if len(n.members) == 0 {
		if len(bytes.TrimSpace(inside)) == 0 {
			if s.pretty {
				return splice(b, n.from+1, n.to-1, s.newline+outer+s.unit+member(outer+s.unit)+s.newline+outer)
			}
			return splice(b, n.from+1, n.to-1, member(outer))
		}
		at := n.from + 1 + len(bytes.TrimRight(inside, " \t\r\n"))
		return splice(b, at, n.to-1, s.newline+outer+s.unit+member(outer+s.unit)+s.newline+outer)
	}
	last := n.members[len(n.members)-1]
	end := n.from + 1 + len(bytes.TrimRight(inside, " \t\r\n"))
	trailing := last.comma >= 0
	lines := onLines(b, n)
	if !lines && !bytes.ContainsAny(b[last.value.to:end], "\n/") {
		s.pretty = false
		text := member(outer)
		if trailing {
			return splice(b, end, end, strings.TrimPrefix(s.comma, ",")+text+",")
		}
		return splice(b, last.value.to, last.value.to, s.comma+text)
	}
	margin := outer + s.unit
	if lines {
		margin = marginAt(b, last.from)
	}
	text := s.newline + margin + member(margin)
	if trailing {
		text += ","
	}
	if !lines && !bytes.ContainsRune(b[end:n.to], '\n') {
		text += s.newline + outer
	}
	b = splice(b, end, end, text)
	if !trailing {
		b = splice(b, last.value.to, last.value.to, ",")
	}
	return b
}

// removeJSON takes a member away with its comma, and with its line when it has one of its own. Comments stay.
func removeJSON(b []byte, n *jsonNode, i int) []byte {
	m := n.members[i]
	from, to, comma := m.from, m.value.to, m.comma
	if comma >= 0 && len(bytes.TrimSpace(b[to:comma])) == 0 {
		to, comma = comma+1, -1
	}
	lineStart := bytes.LastIndexByte(b[:from], '\n') + 1
	blankBefore := len(bytes.Trim(b[lineStart:from], " \t")) == 0 && lineStart > n.from
	blank := to + len(b[to:]) - len(bytes.TrimLeft(b[to:], " \t"))
	switch rest := b[blank:]; {
	case blankBefore && bytes.HasPrefix(rest, []byte("\n")):
		from, to = lineStart, blank+1
	case blankBefore && bytes.HasPrefix(rest, []byte("\r\n")):
		from, to = lineStart, blank+2
	case i+1 < len(n.members):
		to = blank
	case i > 0:
		from = len(bytes.TrimRight(b[:from], " \t"))
	}
	out := b
	if comma >= 0 { // behind a comment
		out = splice(out, comma, comma+1, "")
	}
	out = splice(out, from, to, "")
	if i > 0 && i == len(n.members)-1 && m.comma < 0 {
		before := n.members[i-1].comma
		out = splice(out, before, before+1, "")
	}
	if len(n.members) == 1 {
		end := n.to - (len(b) - len(out))
		if len(bytes.TrimSpace(out[n.from+1:end-1])) == 0 {
			out = splice(out, n.from+1, end-1, "")
		}
	}
	return out
}
