package builtins

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.yaml.in/yaml/v3"
)

// yamlPlace is a node with what stands around it.
type yamlPlace struct {
	node, parent *yaml.Node
	key          *yaml.Node // of a member of a mapping
	index        int        // in the parent's Content
	flow         bool       // between brackets
}

// changeYAML makes one change in the text and leaves the rest of it.
func changeYAML(b []byte, ch documentChange) ([]byte, error) {
	root, err := parseYAML(b)
	if err != nil {
		return nil, err
	}
	t := yamlTextOf(b)
	style := yamlStyleOf(b, root)
	if root == nil || empty(root) { // blank, or comments only
		d := starlark.NewDict(1)
		if err := d.SetKey(starlark.String(ch.key), ch.value); err != nil {
			return nil, err
		}
		out := bytes.Clone(b)
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, style.newline...)
		}
		return append(out, strings.Join(style.block(d), style.newline)+style.newline...), nil
	}
	p := yamlPlace{node: root}
	for _, k := range ch.at {
		p.flow = p.flow || p.node.Style&yaml.FlowStyle != 0
		next := yamlPlace{parent: p.node, flow: p.flow}
		switch p.node.Kind {
		case yaml.AliasNode:
			return nil, fmt.Errorf("%s goes through the alias *%s: edit the value at its anchor instead", pathText(ch.at), p.node.Value)
		case yaml.SequenceNode:
			next.index = k.(int)
			next.node = p.node.Content[next.index]
		default:
			for i := 0; i < len(p.node.Content); i += 2 {
				if p.node.Content[i].Value == k {
					next.key, next.node, next.index = p.node.Content[i], p.node.Content[i+1], i
				}
			}
		}
		p = next
	}
	if p.node.Kind == yaml.AliasNode && ch.op > removeValue {
		return nil, fmt.Errorf("%s is the alias *%s: edit the value at its anchor instead", pathText(ch.at), p.node.Value)
	}
	switch ch.op {
	case replaceValue:
		return t.replace(p, ch.value, style)
	case removeValue:
		return t.remove(p, style)
	}
	return t.add(p, ch, style)
}

// yamlStyle is how a document is written.
type yamlStyle struct {
	unit    string // one level of indentation
	list    string // of a list below its key
	newline string
}

func yamlStyleOf(b []byte, root *yaml.Node) yamlStyle {
	s := yamlStyle{unit: "  ", list: "  ", newline: "\n"}
	if bytes.Contains(b, []byte("\r\n")) {
		s.newline = "\r\n"
	}
	unit, list := false, false
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for i, x := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && x.Style&yaml.FlowStyle == 0 && len(x.Content) > 0 && x.Content[0].Line > n.Content[i-1].Line {
				deeper := yamlColumn(x) - n.Content[i-1].Column
				switch {
				case x.Kind == yaml.MappingNode && !unit && deeper > 0:
					s.unit, unit = strings.Repeat(" ", deeper), true
				case x.Kind == yaml.SequenceNode && !list && deeper >= 0:
					s.list, list = strings.Repeat(" ", deeper), true
				}
			}
			visit(x)
		}
	}
	if root != nil {
		visit(root)
	}
	return s
}

// yamlColumn is where the keys or dashes of a value in lines stand. An anchor stands before the value, on another line.
func yamlColumn(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return n.Content[0].Column
	}
	return n.Column
}

var yamlPlain = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*$`)

// yamlString writes a text, without quotation marks where it is read as the same text.
func yamlString(s string) string {
	if yamlPlain.MatchString(s) {
		n := yaml.Node{Kind: yaml.ScalarNode, Value: s}
		if n.ShortTag() == "!!str" && !slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(s)) {
			return s
		}
	}
	return jsonQuoted(s)
}

// flow writes a value on one line.
func (s yamlStyle) flow(v starlark.Value) string {
	var parts []string
	switch v := v.(type) {
	case starlark.String:
		return yamlString(string(v))
	case starlark.IterableMapping:
		for _, kv := range v.Items() {
			k, _ := starlark.AsString(kv[0])
			parts = append(parts, yamlString(k)+": "+s.flow(kv[1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case *starlark.List, starlark.Tuple:
		for x := range starlark.Elements(v.(starlark.Iterable)) {
			parts = append(parts, s.flow(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return jsonStyle{}.render(v, "")
}

// block writes a value in lines of its own.
func (s yamlStyle) block(v starlark.Value) []string {
	var out []string
	switch v := v.(type) {
	case starlark.IterableMapping:
		for _, kv := range v.Items() {
			k, _ := starlark.AsString(kv[0])
			out = append(out, s.member(k, kv[1])...)
		}
	case *starlark.List, starlark.Tuple:
		for x := range starlark.Elements(v.(starlark.Iterable)) {
			out = append(out, s.element(x)...)
		}
	}
	if out == nil {
		return []string{s.flow(v)}
	}
	return out
}

// nested says whether a value has lines of its own.
func nested(v starlark.Value) bool {
	n, ok := v.(starlark.Sequence)
	return ok && n.Len() > 0
}

func (s yamlStyle) member(key string, v starlark.Value) []string {
	if !nested(v) {
		return []string{yamlString(key) + ": " + s.flow(v)}
	}
	return append([]string{yamlString(key) + ":"}, s.below(v)...)
}

// below are the lines of a value under its key.
func (s yamlStyle) below(v starlark.Value) []string {
	unit := s.list
	if _, isMap := v.(starlark.IterableMapping); isMap {
		unit = s.unit
	}
	lines := s.block(v)
	for i := range lines {
		lines[i] = unit + lines[i]
	}
	return lines
}

func (s yamlStyle) element(v starlark.Value) []string {
	lines := s.block(v)
	for i := range lines {
		if i == 0 {
			lines[i] = "- " + lines[i]
		} else {
			lines[i] = "  " + lines[i]
		}
	}
	return lines
}

// lines joins lines that stand at a column, each behind a line break.
func (s yamlStyle) lines(lines []string, margin string) string {
	return s.newline + margin + strings.Join(lines, s.newline+margin)
}

func (t *yamlText) replace(p yamlPlace, v starlark.Value, style yamlStyle) ([]byte, error) {
	text := style.flow(v)
	if s, ok := v.(starlark.String); ok && p.node.Kind == yaml.ScalarNode && !empty(p.node) {
		switch {
		case p.node.Style&yaml.DoubleQuotedStyle != 0:
			text = jsonQuoted(string(s))
		case p.node.Style&yaml.SingleQuotedStyle != 0 && !strings.ContainsFunc(string(s), func(r rune) bool { return r < ' ' || r == 0x7f }):
			text = "'" + strings.ReplaceAll(string(s), "'", "''") + "'"
		}
	}
	inLines := !p.flow && p.key != nil && nested(v) && p.node.Style&yaml.FlowStyle == 0
	if p.key == nil || p.flow {
		if empty(p.node) {
			return nil, fmt.Errorf("line %d: the empty value: %w", p.node.Line, errUnclear)
		}
		end, err := t.end(p.node)
		return splice(t.b, t.start(p.node), end, text), err
	}
	colon, err := t.colon(p.key)
	if err != nil {
		return nil, err
	}
	from, to := colon, colon
	if !empty(p.node) {
		if to, err = t.end(p.node); err != nil {
			return nil, err
		}
		from = t.start(p.node)
	}
	keyLine := t.lineEnd(colon)
	below := ""
	if inLines {
		below = style.lines(style.below(v), strings.Repeat(" ", p.key.Column-1))
	}
	switch {
	case from > keyLine && inLines: // what stands behind the colon, such as a comment, stays
		return splice(t.b, keyLine, t.lineEnd(to), below), nil
	case from > keyLine:
		return splice(splice(t.b, keyLine, t.lineEnd(to), ""), colon, colon, " "+text), nil
	case inLines && to <= keyLine:
		b := splice(t.b, keyLine, keyLine, below)
		if rest := bytes.TrimLeft(t.b[to:keyLine], " \t"); len(rest) == 0 {
			to = keyLine
		}
		return splice(b, colon, to, ""), nil
	case inLines:
		return splice(t.b, colon, t.lineEnd(to), below), nil
	case from == colon:
		return splice(t.b, colon, colon, " "+text), nil
	}
	return splice(t.b, from, to, text), nil
}

func (t *yamlText) add(p yamlPlace, ch documentChange, style yamlStyle) ([]byte, error) {
	n := p.node
	if n.Style&yaml.FlowStyle != 0 {
		text := style.flow(ch.value)
		if ch.op == addMember {
			text = yamlString(ch.key) + ": " + text
		}
		end, err := t.end(n)
		if err != nil {
			return nil, err
		}
		if len(n.Content) == 0 {
			return splice(t.b, end-1, end-1, text), nil
		}
		last := n.Content[len(n.Content)-1]
		at, err := t.end(last)
		if err != nil {
			return nil, err
		}
		first := last
		if n.Kind == yaml.MappingNode {
			first = n.Content[len(n.Content)-2]
		}
		separator := ", "
		if margin := marginAt(t.b, t.start(first)); first.Line > n.Line && len(margin) == first.Column-1 {
			separator = "," + style.newline + margin
		}
		return splice(t.b, at, at, separator+text), nil
	}
	end, err := t.end(n)
	if err != nil {
		return nil, err
	}
	if n.Anchor != "" && n.Kind == yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: the list has an anchor: %w", n.Line, errUnclear)
	}
	lines := style.element(ch.value)
	if ch.op == addMember {
		lines = style.member(ch.key, ch.value)
	}
	end = t.lineEnd(end)
	return splice(t.b, end, end, style.lines(lines, strings.Repeat(" ", yamlColumn(n)-1))), nil
}

func (t *yamlText) remove(p yamlPlace, style yamlStyle) ([]byte, error) {
	size, first := 1, p.node
	if p.key != nil {
		size, first = 2, p.key
	}
	from := t.start(first)
	var to int
	var err error
	if empty(p.node) && p.key != nil {
		to, err = t.colon(p.key)
	} else {
		to, err = t.end(p.node)
	}
	if err != nil {
		return nil, err
	}
	alone := len(p.parent.Content) == size
	if p.parent.Style&yaml.FlowStyle != 0 {
		return t.removeFlow(p, from, to, size)
	}
	if p.key == nil {
		dash := bytes.TrimRight(t.b[:from], " ")
		if len(dash) == 0 || dash[len(dash)-1] != '-' {
			return nil, fmt.Errorf("line %d: %w", p.node.Line, errUnclear)
		}
		from = len(dash) - 1
	}
	begin := bytes.LastIndexByte(t.b[:from], '\n') + 1
	end := t.lineEnd(to)
	switch own := len(bytes.TrimLeft(t.b[begin:from], " ")) == 0; {
	case alone:
		return splice(t.b, from, to, map[bool]string{true: "{}", false: "[]"}[p.key != nil]), nil
	case own && end < len(t.b):
		return splice(t.b, begin, end+bytes.IndexByte(t.b[end:], '\n')+1, ""), nil
	case own: // the last line, which has no line break, leaves the one before without it
		return splice(t.b, len(bytes.TrimRight(t.b[:begin], "\r\n")), end, ""), nil
	case p.index+size < len(p.parent.Content):
		next := t.start(p.parent.Content[p.index+size])
		if p.key != nil && !bytes.ContainsRune(t.b[to:next], '#') {
			return splice(t.b, from, next, ""), nil
		}
	}
	return nil, fmt.Errorf("line %d: %w", first.Line, errUnclear)
}

func (t *yamlText) removeFlow(p yamlPlace, from, to, size int) ([]byte, error) {
	if p.index+size < len(p.parent.Content) {
		return splice(t.b, from, t.start(p.parent.Content[p.index+size]), ""), nil
	}
	if p.index > 0 {
		before, err := t.end(p.parent.Content[p.index-1])
		return splice(t.b, before, to, ""), err
	}
	return splice(t.b, from, to, ""), nil
}
