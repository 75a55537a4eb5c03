package builtins

import (
	"fmt"
	"maps"

	"go.starlark.net/starlark"

	"fabgo/interp"
	"fabgo/transport"
)

// shellValue is what shell() returns: run, query and the file family, bound to a user, a folder and an environment.
type shellValue struct {
	rt    *Runtime
	bound bound
}

var _ starlark.HasAttrs = (*shellValue)(nil)

func (s *shellValue) String() string        { return "<shell>" }
func (s *shellValue) Type() string          { return "shell" }
func (s *shellValue) Freeze()               {}
func (s *shellValue) Truth() starlark.Bool  { return true }
func (s *shellValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: shell") }
func (s *shellValue) AttrNames() []string   { return []string{"file", "query", "run"} }

func (s *shellValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "run", "query":
		return &boundFunction{s, s.rt.Interp.Function(name)}, nil
	case "file":
		return &boundFamily{s, name}, nil
	}
	return nil, nil
}

func shell(c *call, a struct {
	User owner             `arg:"user"`
	Cwd  transport.Path    `arg:"cwd"`
	Env  map[string]string `arg:"env"`
}) (starlark.Value, error) {
	if err := checkEnv(a.Env); err != nil {
		return nil, fmt.Errorf("shell: %w", err)
	}
	return &shellValue{c.Runtime, bound{transport.Text(a.User), a.Cwd, a.Env}}, nil
}

// boundFunction is a builtin that runs with the shell's bindings.
type boundFunction struct {
	shell *shellValue
	fn    *interp.Function
}

var _ starlark.Callable = (*boundFunction)(nil)

func (b *boundFunction) Name() string          { return b.fn.Name() }
func (b *boundFunction) String() string        { return "<shell's " + b.fn.Name() + ">" }
func (b *boundFunction) Type() string          { return "builtin" }
func (b *boundFunction) Freeze()               {}
func (b *boundFunction) Truth() starlark.Bool  { return true }
func (b *boundFunction) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: shell function") }

func (b *boundFunction) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	rt := b.shell.rt
	before := rt.bound
	rt.bound = bound{b.shell.bound.user, b.shell.bound.cwd, maps.Clone(b.shell.bound.env)}
	defer func() { rt.bound = before }()
	return b.fn.CallInternal(t, args, kwargs)
}

// boundFamily is a family whose functions are bound.
type boundFamily struct {
	shell *shellValue
	name  string
}

var _ starlark.HasAttrs = (*boundFamily)(nil)

func (b *boundFamily) String() string        { return "<shell's family " + b.name + ">" }
func (b *boundFamily) Type() string          { return "family" }
func (b *boundFamily) Freeze()               {}
func (b *boundFamily) Truth() starlark.Bool  { return true }
func (b *boundFamily) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: family") }

func (b *boundFamily) AttrNames() []string { return b.shell.rt.Interp.Family(b.name).AttrNames() }

func (b *boundFamily) Attr(name string) (starlark.Value, error) {
	v, err := b.shell.rt.Interp.Family(b.name).Attr(name)
	if err != nil || v == nil {
		return v, err
	}
	return &boundFunction{b.shell, v.(*interp.Function)}, nil
}
