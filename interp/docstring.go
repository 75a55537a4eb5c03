package interp

import (
	"strings"

	"go.starlark.net/syntax"
)

// docstring is a documentation text taken apart. The convention is in the package comment.
type docstring struct {
	Summary string
	Text    string // without the summary and the sections
	Args    map[string]string
	Returns string
	Errors  string
	Example string
}

// docOf is the docstring of a body, dedented, or "".
func docOf(body []syntax.Stmt) string { return dedent(rawDocOf(body)) }

// rawDocOf is the docstring of a body as it stands there, or "".
func rawDocOf(body []syntax.Stmt) string {
	if len(body) == 0 {
		return ""
	}
	if expr, ok := body[0].(*syntax.ExprStmt); ok {
		if lit, ok := expr.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			return lit.Value.(string)
		}
	}
	return ""
}

// dedent takes away the indentation that all lines but the first share, and blank lines at both ends.
func dedent(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\t", "    "), "\n")
	margin := -1
	for _, l := range lines[1:] {
		if t := strings.TrimLeft(l, " "); t != "" {
			if n := len(l) - len(t); margin < 0 || n < margin {
				margin = n
			}
		}
	}
	for i, l := range lines {
		switch {
		case i == 0:
			l = strings.TrimLeft(l, " ")
		case len(l) >= margin && margin > 0:
			l = l[margin:]
		}
		lines[i] = strings.TrimRight(l, " \r")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

func parseDocstring(doc string) docstring {
	d := docstring{Args: map[string]string{}}
	if doc == "" {
		return d
	}
	var text []string
	sections := map[string][]string{}
	current := ""
	for _, line := range strings.Split(doc, "\n") {
		indented := strings.HasPrefix(line, " ")
		switch name, ok := strings.CutSuffix(line, ":"); {
		case ok && !indented && (name == "Args" || name == "Returns" || name == "Errors" || name == "Example"):
			current = name
		case current != "" && (indented || line == ""):
			sections[current] = append(sections[current], line)
		default:
			current = ""
			text = append(text, line)
		}
	}
	d.Summary, d.Text = splitSummary(text)
	d.Returns = paragraph(sections["Returns"])
	d.Errors = paragraph(sections["Errors"])
	d.Example = block(sections["Example"])
	d.Args = parseArgs(sections["Args"])
	return d
}

// splitSummary takes the first paragraph's first line as the summary; a paragraph that goes on stays in the text whole.
func splitSummary(lines []string) (summary, text string) {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return "", ""
	}
	return lines[0], strings.Trim(strings.Join(lines[1:], "\n"), "\n")
}

// block is the lines without their common indentation.
func block(lines []string) string {
	return dedent("\n" + strings.Join(lines, "\n"))
}

// paragraph is the lines joined to running text.
func paragraph(lines []string) string {
	return strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
}

// parseArgs reads "name: text" lines; what is indented deeper than the first goes on with the previous one.
func parseArgs(lines []string) map[string]string {
	args := map[string]string{}
	texts := map[string][]string{}
	name := ""
	for _, line := range strings.Split(block(lines), "\n") {
		if !strings.HasPrefix(line, " ") {
			if n, text, ok := strings.Cut(line, ":"); ok && isWord(strings.TrimLeft(n, "*")) {
				name = strings.TrimLeft(n, "*")
				texts[name] = []string{text}
				continue
			}
		}
		if name != "" {
			texts[name] = append(texts[name], line)
		}
	}
	for n, t := range texts {
		args[n] = paragraph(t)
	}
	return args
}

func isWord(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
