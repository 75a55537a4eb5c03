package builtins

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/token"
	"fabgo/interp"
	"fabgo/interp/template"
	"fabgo/transport"
)

// templateLimit is the largest template, bytes.
const templateLimit = 1 << 20

// templating are the arguments of everything that renders.
type templating struct {
	Vars         starlark.Value `arg:"vars"`
	LstripBlocks bool           `arg:"lstrip_blocks"`
	TrimBlocks   *bool          `arg:"trim_blocks"`
}

// templateError is a fault of a template: its position is in the message, its line in the hint.
type templateError struct {
	err  error
	line string
}

func (e *templateError) Error() string { return e.err.Error() }
func (e *templateError) Unwrap() error { return e.err }
func (e *templateError) Hint() string  { return e.line }

func templateFault(err error) error {
	te, ok := errors.AsType[*template.Error](err)
	if !ok || te.Source == "" {
		return err
	}
	return &templateError{err, "the line is: " + strings.TrimSpace(te.Source)}
}

// render makes the text of a template of the bundle, named as in src of the calling file.
func (c *call) render(src string, t templating) (transport.Content, error) {
	name, err := c.locate(src)
	if err != nil {
		return transport.Content{}, err
	}
	return c.renderNamed(name, t)
}

// renderNamed does the same for a file by the controller's name for it.
func (c *call) renderNamed(name string, t templating) (transport.Content, error) {
	vars, err := templateVars(t.Vars)
	if err != nil {
		return transport.Content{}, fmt.Errorf("%s: vars: %w", c.name, err)
	}
	names := slices.AppendSeq(make([]string, 0, len(vars)), maps.Keys(vars))
	slices.Sort(names)
	tmpl, err := c.compiled(name, names, t)
	if err != nil {
		return transport.Content{}, err
	}
	out, err := tmpl.Render(interp.Context(c.thread), vars)
	if err != nil {
		return transport.Content{}, fmt.Errorf("%s: %w", c.name, templateFault(err))
	}
	return transport.String(out), nil
}

// templateKey is what a compiled template depends on, given that a session sees each file once.
type templateKey struct {
	name, vars    string
	lstrip, plain bool
}

// compiled gives a template of the bundle, compiled for variables of these names.
func (c *call) compiled(name string, vars []string, t templating) (*template.Template, error) {
	opts := template.Options{LstripBlocks: t.LstripBlocks, NoTrimBlocks: t.TrimBlocks != nil && !*t.TrimBlocks, Load: c.includes(name), Encode: token.Filter}
	key := templateKey{name, strings.Join(vars, "\x00"), opts.LstripBlocks, opts.NoTrimBlocks}
	if tmpl := c.templates[key]; tmpl != nil {
		return tmpl, nil
	}
	text, err := c.askFile(name)
	if err != nil {
		return nil, err
	}
	tmpl, err := template.Compile(shownName(name), text, vars, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, templateFault(err))
	}
	if c.templates == nil {
		c.templates = map[templateKey]*template.Template{}
	}
	c.templates[key] = tmpl
	return tmpl, nil
}

func (c *call) askFile(name string) ([]byte, error) {
	if b, ok := c.texts[name]; ok {
		return b, nil
	}
	content, err := c.ask(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	b, err := content.ReadAll(templateLimit)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c.name, shownName(name), err)
	}
	if c.texts == nil {
		c.texts = map[string][]byte{}
	}
	c.texts[name] = b
	return b, nil
}

// includes reads what the template name includes. The engine names files as they are shown; the root of name says which they are.
func (c *call) includes(name string) template.Loader {
	root := ""
	if module, _, ok := strings.Cut(name, "//"); ok {
		root = module + "//"
	}
	return func(shown string) ([]byte, error) {
		file := shown
		if root != "//" && strings.HasPrefix(shown, root) {
			file = strings.TrimPrefix(shown, root)
		}
		if clean := path.Clean(file); clean == ".." || strings.HasPrefix(clean, "../") {
			return nil, fmt.Errorf("%s leads out of the repository", shown)
		}
		b, err := c.askFile(root + file)
		if transport.KindOf(err) == transport.NotFound {
			return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return b, err
	}
}

// shownName is a file of the bundle as people name it: relative to the root of the repository.
func shownName(name string) string { return strings.TrimPrefix(name, "//") }

func templateVars(v starlark.Value) (starlark.StringDict, error) {
	out := starlark.StringDict{}
	if v == nil {
		return out, nil
	}
	d, ok := v.(starlark.IterableMapping)
	if !ok {
		return nil, mismatch(v, "a dict")
	}
	for _, kv := range d.Items() {
		k, ok := starlark.AsString(kv[0])
		if !ok {
			return nil, fmt.Errorf("key %s is not a string", kv[0])
		}
		out[k] = kv[1]
	}
	return out, nil
}

func fileTemplate(c *call, a struct {
	writing
	templating
	Src string `arg:"src"`
}) (starlark.Value, error) {
	content, err := c.render(a.Src, a.templating)
	if err != nil {
		return nil, err
	}
	r, err := a.resource(c, content)
	if err != nil {
		return nil, err
	}
	return c.converge(r)
}
