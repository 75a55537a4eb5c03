package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// parse reads a file of variables: their values, and the line on which each is set.
func parse(name string, b []byte) (map[string]any, map[string]int, error) {
	m := map[string]any{}
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		if err := onlyDocument(b, &m); err != nil {
			return nil, nil, err
		}
		return m, yamlLines(b), nil
	case ".toml":
		if err := toml.Unmarshal(b, &m); err != nil {
			return nil, nil, err
		}
		return m, tomlLines(string(b)), nil
	case ".json":
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			return nil, nil, jsonError(b, err)
		}
		if d.More() {
			return nil, nil, fmt.Errorf("there is something after the object")
		}
		return m, jsonLines(b), nil
	}
	return nil, nil, fmt.Errorf("its name ends neither in .yaml, .yml, .toml nor .json")
}

// onlyDocument reads the one document of a YAML file. A second one would be passed over in silence.
func onlyDocument(b []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) { // a file of comments has none
		return err
	}
	var second yaml.Node
	if err := d.Decode(&second); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("line %d: a second document begins: put all of it into one", second.Line)
}

// yamlLines are the lines of the keys of a document that was read without an error.
func yamlLines(b []byte) map[string]int {
	lines := map[string]int{}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil || len(doc.Content) == 0 {
		return lines
	}
	keys := doc.Content[0].Content
	for i := 0; i+1 < len(keys); i += 2 {
		lines[keys[i].Value] = keys[i].Line
	}
	return lines
}

// tomlLines finds the keys of the top level, which the decoder does not place. Values over several lines are skipped by their quotes and
// brackets.
func tomlLines(text string) map[string]int {
	lines := map[string]int{}
	var open string // the quotes of a text over several lines
	depth, table := 0, false
	for i, l := range strings.Split(text, "\n") {
		line := strings.TrimSpace(l)
		if open == "" && depth == 0 {
			head := strings.HasPrefix(line, "[")
			table = table || head
			if key := tomlKey(line); key != "" && (head || !table) && lines[key] == 0 {
				lines[key] = i + 1
			}
			if head {
				continue
			}
		}
		depth, open = tomlOpen(line, depth, open)
	}
	return lines
}

// tomlKey is the first part of the key that a line sets, or of the table that it begins.
func tomlKey(line string) string {
	line = strings.TrimSpace(strings.TrimLeft(line, "["))
	if line == "" || line[0] == '#' {
		return ""
	}
	if q := line[0]; q == '"' || q == '\'' {
		key, _, ok := strings.Cut(line[1:], string(q))
		if !ok {
			return ""
		}
		return key
	}
	if end := strings.IndexAny(line, ".=] \t"); end > 0 {
		return line[:end]
	}
	return ""
}

// tomlOpen tells how deep in brackets the end of a line is, and in which text over several lines.
func tomlOpen(line string, depth int, open string) (int, string) {
	for line != "" {
		if open != "" {
			_, rest, ok := strings.Cut(line, open)
			if !ok {
				if len(open) == 1 {
					open = "" // a text of one line ends with it
				}
				return depth, open
			}
			line, open = rest, ""
			continue
		}
		switch c := line[0]; {
		case c == '#':
			return depth, ""
		case strings.HasPrefix(line, `"""`) || strings.HasPrefix(line, "'''"):
			open, line = line[:3], line[3:]
			continue
		case c == '\'':
			open = "'"
		case c == '"':
			line = line[quotedEnd(line):]
			continue
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		}
		line = line[1:]
	}
	return depth, open
}

// quotedEnd is where what follows a basic text begins.
func quotedEnd(line string) int {
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(line)
}

// jsonLines are the lines of the keys of an object that was read without an error.
func jsonLines(b []byte) map[string]int {
	lines := map[string]int{}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return lines
	}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return lines
		}
		lines[key] = lineAt(b, d.InputOffset())
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return lines
		}
	}
	return lines
}

// jsonError adds the line, which encoding/json gives as an offset only.
func jsonError(b []byte, err error) error {
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", lineAt(b, se.Offset), err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: it ends too early", lineAt(b, int64(len(b))))
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("line %d: it is a JSON %s, not an object", lineAt(b, te.Offset), te.Value)
	}
	return err
}

func lineAt(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(offset, int64(len(b)))], []byte("\n"))
}
