package builtins

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// Change is what a changing builtin returns: true when something changed, or, in a plan, would or may.
type Change struct{ converge.Change }

var _ starlark.HasAttrs = (*Change)(nil)

// String shows resource and status.
func (c *Change) String() string { return fmt.Sprintf("<change %s: %s>", c.Resource, c.Status) }

// Type is "Change".
func (c *Change) Type() string { return "Change" }

// Freeze does nothing: a Change is immutable.
func (c *Change) Freeze() {}

// Truth is whether something changed.
func (c *Change) Truth() starlark.Bool { return starlark.Bool(c.Changed) }

// Hash is refused, as a Change is no key.
func (c *Change) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: Change") }

// AttrNames lists the attributes.
func (c *Change) AttrNames() []string { return attrNames("Change") }

// Attr gives changed (bool), resource, status (strings), and diff: a list of structs with object, attr, old, new, text.
func (c *Change) Attr(name string) (starlark.Value, error) {
	switch name {
	case "changed":
		return starlark.Bool(c.Changed), nil
	case "resource":
		return starlark.String(c.Resource), nil
	case "status":
		return starlark.String(c.Status), nil
	case "diff":
		return diffValue(c.Diff), nil
	}
	return nil, nil
}

func diffValue(ds []journal.Delta) starlark.Value {
	var out []starlark.Value
	for _, d := range ds {
		out = append(out, starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
			"object": starlark.String(d.Object), "attr": starlark.String(d.Attr),
			"old": starlark.String(d.From), "new": starlark.String(d.To), "text": starlark.String(d.Text),
		}))
	}
	list := starlark.NewList(out)
	list.Freeze()
	return list
}

// Result is what run and query return: true when the command succeeded. Of a run that a plan only predicts, the output is unknown.
type Result struct {
	out     transport.Output
	ok      bool
	ran     bool // false: a guard kept the command from running
	unknown *converge.Unknown
	change  *converge.Change // of run
	doubt   func()           // called when the truth of an unknown result is asked
}

var _ starlark.HasAttrs = (*Result)(nil)

// String shows the exit code.
func (r *Result) String() string {
	if r.unknown != nil {
		return "<result: unknown>"
	}
	return fmt.Sprintf("<result: exit code %d>", r.out.Code)
}

// Type is "Result".
func (r *Result) Type() string { return "Result" }

// Freeze does nothing: a Result is immutable.
func (r *Result) Freeze() {}

// Truth is whether the command succeeded. A checked command that a plan only predicts counts as one that will.
func (r *Result) Truth() starlark.Bool {
	if r.doubt != nil {
		r.doubt()
	}
	return starlark.Bool(r.ok)
}

// Hash is refused, as a Result is no key.
func (r *Result) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: Result") }

// AttrNames lists the attributes.
func (r *Result) AttrNames() []string { return attrNames("Result") }

// Attr gives stdout and stderr (strings, as they were), code (int), ok, ran and changed (bool).
func (r *Result) Attr(name string) (starlark.Value, error) {
	switch name {
	case "changed":
		return starlark.Bool(r.change != nil && r.change.Changed), nil
	case "ran":
		return starlark.Bool(r.ran), nil
	case "ok", "code", "stdout", "stderr":
		if r.unknown != nil {
			return nil, r.unknown
		}
	}
	switch name {
	case "ok":
		return starlark.Bool(r.ok), nil
	case "code":
		return starlark.MakeInt(r.out.Code), nil
	case "stdout":
		return starlark.String(r.out.Stdout), nil
	case "stderr":
		return starlark.String(r.out.Stderr), nil
	}
	return nil, nil
}
