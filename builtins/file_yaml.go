package builtins

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.yaml.in/yaml/v3"
)

func fileYAML(c *call, a documentArgs) (starlark.Value, error) {
	return c.document(a, documentFormat{parseYAMLTree, changeYAML})
}

// tagged is a value of which YAML knows the kind, and the other documents do not.
type tagged struct {
	tag   string
	value any
}

// yamlAliases is how many values aliases may stand for: a few lines can stand for billions.
const yamlAliases = 100_000

func parseYAMLTree(b []byte) (any, error) {
	n, err := parseYAML(b)
	if err != nil || n == nil {
		return nil, err
	}
	left := yamlAliases
	return yamlTree(n, false, 0, &left)
}

// parseYAML reads the one document of a file; nil when it has none.
func parseYAML(b []byte) (*yaml.Node, error) {
	if !utf8.Valid(b) || bytes.ContainsAny(b, "\u0085\u2028\u2029\ufeff") {
		return nil, fmt.Errorf("it is not plain UTF-8: it holds other bytes, a byte order mark or a line separator of Unicode; such a file is not edited")
	}
	if bytes.Contains(bytes.ReplaceAll(b, []byte("\r\n"), nil), []byte("\r")) {
		return nil, fmt.Errorf("it has a carriage return that is not the end of a line; such a file is not edited")
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("it is not YAML: %w", err)
	}
	if err := d.Decode(&second); err == nil {
		return nil, fmt.Errorf("it holds several documents, and only a file with one is edited")
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it is not YAML: %w", err)
	}
	return doc.Content[0], nil
}

func yamlTree(n *yaml.Node, aliased bool, depth int, left *int) (any, error) {
	if aliased {
		*left--
	}
	switch {
	case *left < 0:
		return nil, fmt.Errorf("its aliases stand for more than %d values", yamlAliases)
	case depth > depthLimit:
		return nil, fmt.Errorf("it is nested deeper than %d", depthLimit)
	}
	var v any
	tag := ""
	switch n.Kind {
	case yaml.AliasNode:
		return yamlTree(n.Alias, true, depth+1, left)
	case yaml.SequenceNode:
		l := []any{}
		for _, x := range n.Content {
			y, err := yamlTree(x, aliased, depth+1, left)
			if err != nil {
				return nil, err
			}
			l = append(l, y)
		}
		if v = l; n.ShortTag() != "!!seq" {
			tag = n.ShortTag()
		}
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, err := yamlKey(n.Content[i])
			if err != nil {
				return nil, err
			}
			if _, twice := m[k]; twice {
				return nil, fmt.Errorf("it is not YAML: line %d: the key %q stands there twice: remove one of them", n.Content[i].Line, k)
			}
			if m[k], err = yamlTree(n.Content[i+1], aliased, depth+1, left); err != nil {
				return nil, err
			}
		}
		if v = m; n.ShortTag() != "!!map" {
			tag = n.ShortTag()
		}
	default:
		return yamlScalar(n)
	}
	if tag != "" {
		return tagged{tag, v}, nil
	}
	return v, nil
}

// yamlKey is the name of a key. Numbers and truths are keys by how they are written.
func yamlKey(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("line %d: a key that is no text; such a file is not edited", n.Line)
	}
	return n.Value, nil
}

func yamlScalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("it is not YAML: line %d: %w", n.Line, err)
		}
		switch v := v.(type) {
		case bool:
			return v, nil
		case float64:
			if tag == "!!int" || math.IsInf(v, 0) || math.IsNaN(v) {
				return numberOrText(n.Value), nil
			}
			return numberOf(strconv.FormatFloat(v, 'e', -1, 64))
		}
		return numberOf(fmt.Sprint(v))
	default:
		return tagged{tag, n.Value}, nil
	}
}

// numberOrText is a number too large for 64 bits, by its digits.
func numberOrText(s string) any {
	if n, err := numberOf(s); err == nil && !strings.ContainsAny(s, ".iInN_") {
		return n
	}
	return tagged{"!!float", s}
}

// yamlText finds the bytes of nodes.
type yamlText struct {
	b     []byte
	lines []int // where lines begin
}

func yamlTextOf(b []byte) *yamlText {
	t := &yamlText{b, []int{0}}
	for i, c := range b {
		if c == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

func (t *yamlText) start(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(t.lines) {
		return len(t.b)
	}
	at := t.lines[n.Line-1]
	for i := 1; i < n.Column && at < len(t.b); i++ {
		_, size := utf8.DecodeRune(t.b[at:])
		at += size
	}
	return at
}

// lineEnd is where the line of a place ends, before its line break.
func (t *yamlText) lineEnd(at int) int {
	end := len(t.b)
	if i := bytes.IndexByte(t.b[at:], '\n'); i >= 0 {
		end = at + i
	}
	if end > at && t.b[end-1] == '\r' {
		end--
	}
	return end
}

var errUnclear = errors.New("it is written in a way of which fabgo cannot tell where the value begins and ends: write it on one line, or use file.template")

// end is where a node ends.
func (t *yamlText) end(n *yaml.Node) (int, error) {
	at := t.start(n)
	if n.Style&yaml.TaggedStyle != 0 || n.Anchor != "" && (n.Kind == yaml.ScalarNode || n.Style&yaml.FlowStyle != 0) {
		return 0, fmt.Errorf("line %d: the value has a tag or an anchor: %w", n.Line, errUnclear)
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return at + 1 + len(n.Value), nil
	case n.Kind == yaml.ScalarNode:
		return t.scalarEnd(n, at)
	case n.Style&yaml.FlowStyle != 0:
		return t.flowEnd(at)
	case len(n.Content) == 0:
		return 0, errUnclear
	}
	last := n.Content[len(n.Content)-1]
	if empty(last) {
		if n.Kind != yaml.MappingNode {
			return 0, fmt.Errorf("line %d: an empty element: %w", last.Line, errUnclear)
		}
		return t.colon(n.Content[len(n.Content)-2])
	}
	return t.end(last)
}

// empty says whether a value is null since nothing is written.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0
}

func (t *yamlText) scalarEnd(n *yaml.Node, at int) (int, error) {
	if at >= len(t.b) {
		return 0, errUnclear
	}
	switch rest := t.b[at:]; {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		end, margin := t.lineEnd(at), len(marginAt(t.b, at))
		for next := end; ; {
			i := bytes.IndexByte(t.b[next:], '\n')
			if i < 0 {
				return end, nil
			}
			begin := next + i + 1
			next = t.lineEnd(begin)
			line := string(t.b[begin:next])
			if strings.TrimSpace(line) == "" {
				continue
			}
			if indent(line) <= margin {
				return end, nil
			}
			end = next
		}
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return quotedEnd(t.b, at)
	case bytes.HasPrefix(rest, []byte(n.Value)):
		return at + len(n.Value), nil
	}
	return 0, fmt.Errorf("line %d: %w", n.Line, errUnclear)
}

func quotedEnd(b []byte, at int) (int, error) {
	for i := at + 1; i < len(b); i++ {
		switch {
		case b[i] == '\\' && b[at] == '"':
			i++
		case b[i] == '\'' && b[at] == '\'' && i+1 < len(b) && b[i+1] == '\'':
			i++
		case b[i] == b[at]:
			return i + 1, nil
		}
	}
	return 0, errUnclear
}

// flowEnd is where the bracket that begins at is closed.
func (t *yamlText) flowEnd(at int) (int, error) {
	depth := 0
	for i := at; i < len(t.b); i++ {
		fresh := i == 0 || strings.IndexByte(" \t\r\n,[{:", t.b[i-1]) >= 0
		switch c := t.b[i]; {
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case (c == '"' || c == '\'') && fresh:
			end, err := quotedEnd(t.b, i)
			if err != nil {
				return 0, err
			}
			i = end - 1
		case c == '#' && fresh:
			i = t.lineEnd(i)
		}
	}
	return 0, errUnclear
}

// colon is the place behind the colon of a key.
func (t *yamlText) colon(key *yaml.Node) (int, error) {
	end, err := t.end(key)
	if err != nil {
		return 0, err
	}
	blank := end + len(t.b[end:]) - len(bytes.TrimLeft(t.b[end:], " \t"))
	if blank >= len(t.b) || t.b[blank] != ':' {
		return 0, fmt.Errorf("line %d: %w", key.Line, errUnclear)
	}
	return blank + 1, nil
}
